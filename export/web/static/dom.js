// Elements. All text, also names from files of strangers, is set as text, never as HTML.

/** The element of the page with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with properties and children; a child may be a text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** What a number of bytes is called. */
export function bytes(size) {
  return size < 1e6 ? `${Math.max(1, Math.round(size / 1e3))} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
