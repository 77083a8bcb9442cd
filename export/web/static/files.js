// The page's files: beside it, elsewhere, or within the page if that is a single file.

/**
 * The content of a file.
 *
 * @param {{name: string, integrity?: string}} file Its address, and its hash as `integrity` has it.
 * @returns {Promise<ArrayBuffer>}
 */
export async function readFile({ name, integrity }) {
  const inlined = document.getElementById(`file:${name}`);
  if (inlined) return unpack(inlined.textContent);
  let response;
  try {
    // A browser may have an earlier page's file of that name; `no-cache` asks whether it is still the same.
    response = await fetch(name, { cache: "no-cache", ...(integrity && { integrity }) });
  } catch {
    throw new Error(`${name} can't be loaded: there is no connection, or it is another file than expected.`);
  }
  if (!response.ok) throw new Error(`${name} can't be loaded: the server answers ${response.status}.`);
  return response.arrayBuffer();
}

/** The value of a JSON file. */
export async function readJson(file) {
  return JSON.parse(new TextDecoder().decode(await readFile(file)));
}

/** The content of a gzip file in base64. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
