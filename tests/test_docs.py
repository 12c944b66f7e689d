"""The documentation: its Python runs, its commands are the program's, its links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.cli.app import app
from keepbusy.cli.commands import COMMANDS
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.sinks.video import VideoFile
from tests.build import image_of, write_picture
from tests.docs_pages import (
    GENERATED,
    PAGES,
    ROOT,
    Snippet,
    anchors_of,
    command_lines,
    find_command,
    inline_commands,
    links_of,
    make_targets,
    snippets_of,
    text_of,
)

ELSEWHERE = {
    "docs/concepts/streams.md": "fragments; tests/test_asyncio.py runs those for asyncio",
    "docs/reference/sinks.md": "tests/test_docs_sinks.py runs it, with checks of its own",
    "docs/reference/bench.md": "measures for a minute",
    "docs/reference/eval.md": "needs a data set",
    "docs/reference/models.md": "fetches a model",
    "docs/reference/optimize.md": "needs a data set, and measures",
    "docs/reference/tasks.md": "needs models with masks and keypoints",
    "docs/reference/tune.md": "needs a profile",
    "docs/reference/verify.md": "needs a GPU",
}
"""Pages whose Python is compiled only, and why."""

RUN = tuple(page for page in PAGES if page not in ELSEWHERE and any(s.language == "python" for s in snippets_of(page)))

COMMANDS_RUN = tuple(
    f"docs/guides/{name}.md" for name in ("first-steps", "from-ultralytics", "folders", "troubleshooting")
)
"""Pages whose calls of these commands are made, on stand-ins for their files."""

QUICK_COMMANDS = ("detect", "predict", "model-info")

NOT_HERE = re.compile(r"rtsp:|\b0\b|-d GPU|--show|SOURCE|FILE")
"""In a call: what needs a camera, a GPU, a window, or is no call but a form of one."""


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages name: a model, videos, pictures."""
    folder = tmp_path_factory.mktemp("stand-ins")
    model = embedded_model()
    for name in ("yolov5n", "yolov8n", "yolov8n_openvino_model/yolov8n"):
        (folder / name).parent.mkdir(exist_ok=True)
        for suffix in (".xml", ".bin"):
            shutil.copy(model.with_suffix(suffix), folder / f"{name}{suffix}")
    street = kb.open_source(str(embedded_clip()))
    pictures = [cv2.resize(image_of(street.read()), (640, 360)) for _ in range(5)]
    street.close()
    file = VideoFile(folder / "street.mp4", 30)
    for index, picture in enumerate(pictures):
        frame = kb.Frame(np.asarray(picture, np.uint8), index, index / 30, 0, "street")
        file.write(kb.Result(frame, kb.Detections.empty(), kb.Timings()))
    file.close()
    for name in ("yard", "door", "archive"):
        shutil.copy(folder / "street.mp4", folder / f"{name}.mp4")
    (folder / "photos").mkdir()
    (folder / "archive" / "2024").mkdir(parents=True)
    for name in ("photo.jpg", "photos/1.jpg", "photos/2.jpg", "archive/2024/3.jpg"):
        write_picture(folder / name, np.asarray(pictures[0], np.uint8))
    (folder / "list.txt").write_text("photos/1.jpg\nstreet.mp4\n", encoding="utf-8")
    return folder


@pytest.fixture
def workplace(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that pages name, where they may write."""
    folder = tmp_path / "work"
    shutil.copytree(stand_ins, folder)
    monkeypatch.chdir(folder)
    return folder


def run_snippet(snippet: Snippet, names: dict[str, Any]) -> None:
    code = re.sub(r"rtsp://(\w+|\{name\})/stream", r"\1.mp4", snippet.padded)
    compiled = compile(code, snippet.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", RUN)
def test_python_runs(page: str, workplace: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    try:
        for snippet in snippets_of(page):
            if snippet.language != "python" or not snippet.is_run:
                continue
            if snippet.missing:
                pytest.xfail(f"{page}:{snippet.line} needs {', '.join(snippet.missing)}")
            run_snippet(snippet, names)
    finally:
        for one in names.values():
            if isinstance(one, (kb.Pipeline, kb.Sink)) or (isinstance(one, kb.Detector) and hasattr(one, "close")):
                one.close()


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles(page: str) -> None:
    for snippet in snippets_of(page):
        if snippet.language == "python":
            compile(snippet.padded, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_python_of_docstrings_compiles() -> None:
    num_found = 0
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                for code in re.findall(r"```python\n(.*?)```", ast.get_docstring(node) or "", re.DOTALL):
                    compile(code, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                    num_found += 1
    assert num_found > 5


def assert_parses(words: list[str], *, is_whole: bool = True) -> None:
    """See that the program takes a call as it stands; nothing is run.

    Args:
        words: The call, without `keepbusy`.
        is_whole: Whether it has all that the command requires; prose names options alone, too.
    """
    if words and words[0].startswith("-"):
        assert set(words) <= {"--version", "--help", "--install-completion", "--show-completion"}
        return
    found = find_command(words)
    assert found is not None, f"there is no `keepbusy {' '.join(words)}`"
    name, command, rest = found
    if {"-h", "--help"} & set(rest):
        return
    try:
        command.make_context(name, rest)
    except Exception as error:
        is_cut = "missing" in str(error).lower() or "requires" in str(error)
        if is_whole or not is_cut:
            raise AssertionError(f"`keepbusy {' '.join(words)}`: {error}") from error


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_the_programs(page: str) -> None:
    missing = set()
    for snippet, words in command_lines(page):
        if snippet.missing:
            missing |= set(snippet.missing)
        else:
            assert_parses(words)
    for words in inline_commands(page):
        if words[0] in COMMANDS and "…" not in words:
            assert_parses(words, is_whole=False)
    if missing:
        pytest.xfail(f"{page} needs {', '.join(sorted(missing))}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", COMMANDS_RUN)
def test_commands_run(page: str, workplace: Path) -> None:
    num_run = 0
    for snippet, words in command_lines(page):
        if words[0] not in QUICK_COMMANDS or NOT_HERE.search(" ".join(words)):
            continue
        if snippet.missing:
            pytest.xfail(f"{page}:{snippet.line} needs {', '.join(snippet.missing)}")
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output)
        num_run += 1
    assert num_run > 0


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = os.path.normpath((ROOT / page).parent / path) if path else str(ROOT / page)
        name = Path(target).relative_to(ROOT).as_posix()
        if GENERATED.fullmatch(name):
            continue
        assert Path(target).exists(), f"{page}: {link} leads nowhere"
        if anchor and name.endswith(".md"):
            assert anchor in anchors_of(name), f"{page}: {name} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_installed_and_made_is_there(page: str) -> None:
    text = text_of(page)
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"keepbusy\[([\w,]+)\]", text) for extra in group.split(",")}
    targets = {
        name for snippet in snippets_of(page) for name in re.findall(r"^make ([\w-]+)", snippet.code, re.MULTILINE)
    }
    targets |= set(re.findall(r"`make ([\w-]+)", text))
    missing = [f"extra {name}" for name in named - set(extras)] + [f"make {name}" for name in targets - make_targets()]
    if set(missing) <= {"extra pandas", "make check", "make docs"} and missing:
        pytest.xfail(f"{page} needs {', '.join(missing)}")
    assert missing == []


def test_guides_exist_in_chinese_for_the_first_three() -> None:
    for name in ("first-steps", "from-ultralytics", "from-benchmark-app"):
        english, chinese = snippets_of(f"docs/guides/{name}.md"), snippets_of(f"docs/zh/guides/{name}.md")
        calls = [[words for _, words in command_lines(page)] for page in (english[0].page, chinese[0].page)]
        assert all(words in calls[1] for words in calls[0])
