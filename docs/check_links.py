"""Find links of a built site that lead nowhere within it.

    python docs/check_links.py docs/_build/html

Sphinx checks the links of its own sources; this sees those that themes, docstrings and
galleries make too. Links to other sites are only counted: whether they answer depends
on the network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places that links may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to, and by what it can be referred to."""
        given = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := given.get(name))}
        # What search engines are told is of no page.
        if tag in ("a", "img", "script") or given.get("rel") == "stylesheet":
            self.links += [v for name in ("href", "src") if (v := given.get(name))]


def dead_links(root: Path) -> tuple[list[str], int]:
    """Return the links within a site that lead nowhere, and the number of others.

    Parameters
    ----------
    root : Path
        The folder of the built site.

    Returns
    -------
    dead : list of str
        ``page: link``.
    n_foreign : int
        Number of different links to other sites.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in root.rglob("*.html")
        if "_static" not in path.parts  # templates of the theme
    }
    dead, foreign = [], set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                foreign.add(link)
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            is_page = target in pages
            if not target.exists() or (
                is_page
                and parts.fragment
                and unquote(parts.fragment) not in pages[target].ids
            ):
                dead.append(f"{path.relative_to(root.resolve())}: {link}")
    return dead, len(foreign)


def main() -> None:
    """Print the links that lead nowhere; fail if there are any."""
    dead, n_foreign = dead_links(Path(sys.argv[1]))
    print(f"{n_foreign} links to other sites are not checked")
    if dead:
        sys.exit("Links that lead nowhere:\n" + "\n".join(dead))


if __name__ == "__main__":
    main()
