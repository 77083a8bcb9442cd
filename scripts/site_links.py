"""MkDocs hook: pages and pictures from outside docs/, and links to them.

A page links to other files of the repository by relative paths, which GitHub follows. On the site such a link leads to
another page, to a picture that is copied, or to the file in the repository. Long code gets a class for site.css.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
LONG_CODE = re.compile(r"<code>(?=[^<]{33})")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the pictures that are not in docs/."""
    pictures = [path.relative_to(ROOT).as_posix() for path in (ROOT / "results").rglob("*.png")]
    for source, target in (PAGES | {picture: picture for picture in pictures}).items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links that leave docs/ into links of the site, or to the repository."""
    here = page.file.src_uri
    folder = posixpath.dirname(SOURCES.get(here, f"docs/{here}"))

    def site_link(match: re.Match[str]) -> str:
        start, link, anchor, end = match.groups(default="")
        path = posixpath.normpath(posixpath.join(folder, link))
        target = PAGES.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(target):
            link = posixpath.relpath(target, posixpath.dirname(here) or ".")
        elif (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            link = f"{(config.repo_url or '').rstrip('/')}/{kind}/main/{path}"
        return f"{start}{link}{anchor}{end}"

    return LINK.sub(site_link, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mark the code that may be too long for a line of a phone; other code stays on one line (site.css)."""
    return LONG_CODE.sub('<code class="long">', html)
