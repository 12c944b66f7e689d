"""The list of `make check`: every part of the package is in it, and nothing in it is gone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import keepbusy

TESTS = Path(__file__).resolve().parent
PACKAGE = Path(keepbusy.__file__).parent
LISTED = (TESTS / "quick.txt").read_text(encoding="utf-8").splitlines()

STARTED = {"__main__", "cli"}
"""Parts that tests start as a program."""


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("entry", LISTED)
def test_what_is_listed_exists(entry: str) -> None:
    name, _, function = entry.partition("::")
    found = functions(TESTS.parent / name)
    assert function in found if function else any(one.startswith("test_") for one in found)


def test_nothing_is_listed_twice() -> None:
    assert len(set(LISTED)) == len(LISTED)
    whole = {entry for entry in LISTED if "::" not in entry}
    assert [entry for entry in LISTED if "::" in entry and entry.partition("::")[0] in whole] == []


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports, as `values` of `keepbusy.values.frame`; the API for the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "keepbusy":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import) and any(alias.name == "keepbusy" for alias in node.names):
            found.add("api")
    return found


def test_every_part_of_the_package_is_touched() -> None:
    files = {TESTS.parent / entry.partition("::")[0] for entry in LISTED} - {Path(__file__).resolve()}
    touched = set().union(*map(imported, files)) | STARTED
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert len(rooms) > 10 and rooms - touched == set()
