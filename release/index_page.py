"""The README as a package index shows it, and the project's addresses: a metadata hook of Hatch.

A package index has no files beside the README, so that relative links and pictures would be broken there. Where the
repository's address is known, in `KEEPBUSY_REPOSITORY_URL`, links lead to the files of the release's tag. Where it is
not, as in a build from a clone, links become their text and pictures are left out: nothing on the page is broken, and
no address is made up.

Hatch loads this file by its path, so it imports nothing from its neighbours.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

HOME_VARIABLE = "KEEPBUSY_REPOSITORY_URL"

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_FENCE = re.compile(r"^(```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>(?:`[^`]*`|[^\[\]])*)\]\((?P<target>[^()\s]+)\)")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|#", re.IGNORECASE)


def index_page(readme: str, home: str | None, tag: str) -> str:
    """A README without relative links.

    Args:
        readme: Markdown. What stands in fenced blocks stays as it is.
        home: The repository's address, without a slash at its end; None where it is not known.
        tag: The release's tag, which links lead to.
    """
    parts = _FENCE.split(readme)
    # Every second part is a fenced block.
    parts[::2] = [_without_relative_links(part, home, tag) for part in parts[::2]]
    return "".join(parts)


def _without_relative_links(markdown: str, home: str | None, tag: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        picture, text, target = found["picture"], found["text"], found["target"]
        if _ABSOLUTE.match(target):
            return found[0]
        if home is not None:
            return f"{picture}[{text}]({home}/{'raw' if picture else 'blob'}/{tag}/{target})"
        return "" if picture else text

    # A paragraph that is nothing but a link says nothing without it.
    paragraphs = markdown.split("\n\n")
    kept = [one for one in paragraphs if home is not None or not _is_one_relative_link(one)]
    return "\n\n".join(_LINK.sub(replaced, paragraph) for paragraph in kept)


def _is_one_relative_link(paragraph: str) -> bool:
    found = _LINK.fullmatch(paragraph.strip())
    return found is not None and not _ABSOLUTE.match(found["target"])


def addresses(home: str) -> dict[str, str]:
    """The project's addresses, by their labels."""
    return {
        "Homepage": home,
        "Source": home,
        "Documentation": f"{home}/tree/main/docs",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }


class IndexPage(MetadataHookInterface):
    """Gives Hatch `readme`, and `urls` where they are known."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        version = _VERSION.search((root / "src/keepbusy/version.py").read_text(encoding="utf-8"))
        if version is None:
            raise ValueError('src/keepbusy/version.py has no line `__version__ = "..."`')
        home = os.environ.get(HOME_VARIABLE, "").rstrip("/") or None
        text = index_page((root / "README.md").read_text(encoding="utf-8"), home, f"v{version[1]}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        if home is not None:
            metadata["urls"] = addresses(home)
