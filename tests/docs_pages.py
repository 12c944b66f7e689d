"""The pages of the documentation, and what of them can be checked: snippets, commands, links.

A comment before a block of code says what is done with it:

- `<!-- not run: why -->`: it is compiled only.
- `<!-- needs: Detections.where, command predict -->`: it runs where the library has these.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

import keepbusy as kb
from keepbusy.cli.app import app

ROOT = Path(__file__).resolve().parents[1]

TOP = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
OTHERS = ("benchmarks/README.md", "training/README.md", "examples/README.md")

PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (*(ROOT / name for name in (*TOP, *OTHERS)), *sorted((ROOT / "docs").rglob("*.md")))
    if path.is_file()
)
"""All pages, relative to the repository."""

GENERATED = re.compile(r"docs/reference/(commands|api/\w+)\.md")
"""Pages that are made when the site is built; MkDocs checks links to them."""

_FENCE = re.compile(r"( *)(```+)([\w{}.]*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- (needs|not run): (.*?) -->\s*\Z")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Snippet:
    """A block of code in a page.

    Attributes:
        page: The page, relative to the repository.
        line: Where the code begins there, from 1.
        language: What stands behind the fence; empty for commands and what they print.
        code: The code.
        needs: What the library has to have for it.
        is_run: Whether it is to be run, and not only compiled.
    """

    page: str
    line: int
    language: str
    code: str
    needs: tuple[str, ...]
    is_run: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What the library does not have of what it needs."""
        return tuple(one for one in self.needs if not is_there(one))

    @property
    def padded(self) -> str:
        """The code behind so many empty lines that errors name the page's own line."""
        return "\n" * (self.line - 1) + self.code


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def snippets_of(page: str) -> list[Snippet]:
    text = text_of(page)
    found = []
    for fence in _FENCE.finditer(text):
        mark = _MARK.search(text[: fence.start()])
        needs = tuple(re.split(r",\s*", mark[2])) if mark is not None and mark[1] == "needs" else ()
        is_run = mark is None or mark[1] == "needs"
        code = re.sub(rf"^{fence[1]}", "", fence[4], flags=re.MULTILINE)
        line = text[: fence.start(4)].count("\n") + 1
        found.append(Snippet(page, line, fence[3], code, needs, is_run))
    return found


def is_there(needed: str) -> bool:
    """Whether there is an attribute, `Detections.where`; or `command predict`, `package pandas`, `make check`."""
    kind, _, name = needed.rpartition(" ")
    if kind == "command":
        return find_command([name]) is not None
    if kind == "package":
        return importlib.util.find_spec(name) is not None
    if kind == "make":
        return name in make_targets()
    found: object = kb
    for name in needed.split("."):
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def find_command(words: list[str]) -> tuple[str, Any, list[str]] | None:
    """What the program makes of a call: a command's name, the command, and the words behind it."""
    group: Any = typer.main.get_command(app)
    try:
        return group.resolve_command(group.make_context("keepbusy", [*words]), words)  # type: ignore[no-any-return]
    except Exception:
        return None


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))


def without_code(page: str) -> str:
    """A page's prose: blocks of code and code within lines are taken out."""
    return re.sub(r"`[^`\n]*`", "``", _FENCE.sub("", text_of(page)))


def links_of(page: str) -> list[str]:
    """Links that lead to files of the repository, or within the page."""
    return [link for link in _LINK.findall(without_code(page)) if not re.match(r"[a-z]+:", link)]


def anchors_of(page: str) -> set[str]:
    """What links to a page's headings end with, as code hosting sites and MkDocs make them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ +(.*?) *#*$", _FENCE.sub("", text_of(page)), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(unique)
    return found


def command_lines(page: str) -> Iterator[tuple[Snippet, list[str]]]:
    """The words of each line of a page's blocks that calls the program."""
    for snippet in snippets_of(page):
        if snippet.language in ("", "sh", "bash", "console"):
            for line in re.sub(r" *\\\n *", " ", snippet.code).splitlines():
                if (call := line.strip().removeprefix("$ ")).startswith("keepbusy "):
                    yield snippet, words_of(call)


def inline_commands(page: str) -> Iterator[list[str]]:
    """The words of each call of the program within a line: `keepbusy detect --profile FILE`."""
    for call in re.findall(r"`(keepbusy [^`]+)`", _FENCE.sub("", text_of(page))):
        yield words_of(re.sub(r"\s+", " ", call).replace("\\|", "|"))


def words_of(call: str) -> list[str]:
    words = shlex.split(call, comments=True)
    for end in ("|", "&&", ">", "2>"):
        words = words[: words.index(end)] if end in words else words
    return words[1:]
