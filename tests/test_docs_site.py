"""The documentation's site builds without a warning, and has what is made when it is built."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import keepbusy
from keepbusy.cli.commands import COMMANDS, load_command
from tests.docs_pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=240, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_each_option_of_each_command_is_there(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="keepbusy-{name.replace(" ", "-")}"' in page
        for param in load_command(name).params:
            if not getattr(param, "hidden", False) and param.opts[0].startswith("-"):
                assert f"<code>{param.opts[0]}" in page, (name, param.opts)


def test_each_public_name_is_there(site: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference" / "api").glob("*.html"))
    for name in set(keepbusy.__all__) - {"__version__"}:
        assert f'id="keepbusy.{name}"' in text, name


def test_files_outside_of_the_documentation_have_pages(site: Path) -> None:
    for page, words in (
        ("changelog", "All notable changes"),
        ("security", "How to report a vulnerability"),
        ("licences", "are fetched by name"),
        ("examples", "class CountsPerSecond"),
    ):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert words in text or words.split()[-1] in text
    security = (site / "security.html").read_text(encoding="utf-8")
    assert 'href="privacy.html"' in security


def test_pages_ask_no_other_server_for_anything(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for attribute in ('<script src="http', '<link rel="stylesheet" href="http', '<img src="http'):
            assert attribute not in text, path
