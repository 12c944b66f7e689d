"""What the documentation's site has that is not a file in docs/: MkDocs calls these functions (see mkdocs.yml).

Three kinds of pages are made whenever the site is built, so that they cannot grow old: all options of all commands from
the program itself, the Python API from its docstrings, and the files at the repository's top, such as the changelog.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import keepbusy
from keepbusy.cli.commands import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[1]

OUTSIDE = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "NOTICE": "licences.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
    "training/README.md": "training.md",
}
"""Files outside of docs/ → the page of the site that shows them. Links to them are turned to that page."""

TITLES = {"NOTICE": "Licences", "benchmarks/README.md": "Benchmarks", "training/README.md": "Training"}
"""Titles of those that have none of their own, or one that says nothing beside other pages."""

API = {
    "pipeline": ("Pipeline and detector", ("Pipeline", "Detector", "AsyncResults", "detect_to", "RunReport")),
    "results": ("Results", ("Result", "Detections", "Frame", "Timings")),
    "options": (
        "Options",
        ("DetectConfig", "DeviceConfig", "RunConfig", "SelectConfig", "StreamConfig", "Retry", "OutletConfig"),
    ),
    "sources": ("Sources", ("open_source", "Source", "SourceInfo", "SourceSpec")),
    "sinks": ("Sinks", ("open_sink", "drain", "Sink", "StopRun")),
    "streams": ("Runs, streams and steps", ("Run", "Stream", "Step", "StepFactory", "StreamInfo", "Outcome")),
    "numbers": ("Numbers of a run", ("Snapshot", "StageStats", "StreamStats", "OutletStats")),
}
"""Page → its title and its names, in their order. Errors, and names that have no page here, get pages by themselves."""

MODULES = ("batch", "drawing", "records", "steps", "testing")
"""Public modules beside the flat surface, each with a page of its own; those that are there."""

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)((?:#[^)\s]*)?)\)")


def on_config(config: Any) -> Any:
    """Add the generated pages of the API to the navigation."""
    pages: list[Any] = [{title: f"reference/api/{name}.md"} for name, (title, _) in api_pages().items()]
    pages += [{f"keepbusy.{name}": f"reference/api/{name}.md"} for name in _modules()]
    for section in config.nav:
        if "Reference" in section:
            section["Reference"].append({"Python": pages})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here."""
    for path, text in generated_pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links that leave docs/ to the site's own pages."""
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def generated_pages() -> Iterator[tuple[str, str]]:
    """Path within docs/ and Markdown of each page that is no file there."""
    yield "reference/commands.md", commands_page()
    for name, (title, names) in api_pages().items():
        yield f"reference/api/{name}.md", api_page(title, names)
    for name in _modules():
        yield f"reference/api/{name}.md", f"# keepbusy.{name}\n\n::: keepbusy.{name}\n"
    for source, page in OUTSIDE.items():
        yield page, outside_page(source, page)


# Files outside of docs/ ------------------------------------------------------------------------------------------


def outside_page(source: str, page: str) -> str:
    """The Markdown of a file outside of docs/, as a page of the site."""
    text = (ROOT / source).read_text(encoding="utf-8")
    if not source.endswith(".md"):
        text = f"```text\n{text}```\n"
    if source in TITLES:
        text = f"# {TITLES[source]}\n\n" + re.sub(r"\A# .*\n+", "", text)
    if source == "examples/README.md":
        text += "".join(_program(path) for path in sorted((ROOT / "examples").glob("*.py")))
    return relinked(text, source, page)


def _program(path: Path) -> str:
    return f"\n## {path.name}\n\n```python\n{path.read_text(encoding='utf-8')}```\n"


def relinked(text: str, source: str, page: str) -> str:
    """A text whose relative links, right where it stands in the repository, are right on the site.

    Links to files that the site does not show lose their address and keep their words.

    Args:
        text: Markdown.
        source: Where it stands in the repository.
        page: Where its page stands below docs/.
    """

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        if not (ROOT / target).exists():
            return link[0]  # For MkDocs to complain of, unless it is a page that is made here.
        if source == "examples/README.md" and target.endswith(".py"):
            return f"[{link[1]}](#{posixpath.basename(target).replace('.', '')})"
        if target in OUTSIDE:
            target = f"docs/{OUTSIDE[target]}"
        elif not target.startswith("docs/"):
            return link[1]
        address = posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")
        return f"[{link[1]}]({address}{link[3]})"

    return _LINK.sub(turned, text)


# Commands --------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """All commands with all options, as the program itself knows them."""
    parts = [
        "# All options of all commands",
        "Made from the program when this site was built; `keepbusy COMMAND --help` prints the same.",
    ]
    for name in sorted(COMMANDS):
        command = load_command(name)
        title, _, examples = (command.help or "").strip().partition("\n")
        parts += [f"## keepbusy {name}", title.strip()]
        text = _prose(examples)
        if text:
            parts.append(text)
        parts += _panels(command.params)
    return "\n\n".join(parts) + "\n"


def _prose(text: str) -> str:
    """A command's text behind its first line: lines that begin with `keepbusy` are examples."""
    lines = [line.strip() for line in text.replace("\b", "").splitlines()]
    examples = [line for line in lines if line.startswith("keepbusy ")]
    prose = " ".join(line for line in lines if line and not line.startswith("keepbusy "))
    return "\n\n".join(part for part in (prose, "```\n" + "\n".join(examples) + "\n```" if examples else "") if part)


def _panels(params: Sequence[Any]) -> list[str]:
    """A table for each panel of a command's help."""
    panels: dict[str, list[Any]] = {}
    for param in params:
        if not getattr(param, "hidden", False):
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(param)
    found = []
    for panel, members in panels.items():
        rows = ["| option | |", "| --- | --- |"]
        rows += [f"| {_usage(param)} | {_meaning(param)} |" for param in members]
        found += [f"**{panel}**", "\n".join(rows)]
    return found


def _usage(param: Any) -> str:
    value = param.metavar or ("" if getattr(param, "is_flag", False) else param.name.upper())
    if not param.opts[0].startswith("-"):
        return _code(value)
    names = (_code(f"{name} {value}".strip()) for name in (*param.opts, *param.secondary_opts))
    return "<br>".join(f'<span class="option">{name}</span>' for name in names)


def _meaning(param: Any) -> str:
    text = _cell(param.help or "")
    is_told = param.show_default and param.default not in (None, False, (), []) and param.opts[0].startswith("-")
    return f"{text} Default: {_code(str(param.default))}." if is_told else text


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# Python ----------------------------------------------------------------------------------------------------------


def api_page(title: str, names: Sequence[str]) -> str:
    """A page of the API: mkdocstrings puts each name's docstring in its place."""
    return "\n\n".join([f"# {title}", *(f"::: keepbusy.{name}" for name in names)]) + "\n"


def api_pages() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The pages of all public names: those of `API`, the errors, and the rest if there is one."""
    placed = {name for _, names in API.values() for name in names} | {"__version__"}
    rest = [name for name in keepbusy.__all__ if name not in placed]
    errors = sorted((name for name in rest if name.endswith("Error")), key=lambda name: (name != "KeepbusyError", name))
    others = tuple(name for name in rest if not name.endswith("Error"))
    return {**API, "errors": ("Errors", tuple(errors)), **({"others": ("Others", others)} if others else {})}


def _modules() -> list[str]:
    """Which of the public modules are there."""
    return [name for name in MODULES if importlib.util.find_spec(f"keepbusy.{name}") is not None]
