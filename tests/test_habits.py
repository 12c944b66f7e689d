"""What people bring along from other programs: each row of the table, typed at the real program."""

from __future__ import annotations

import asyncio
import inspect
import logging
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import keepbusy as kb
from keepbusy.api.foreign_words import OF_DETECTOR, OF_OPTIONS, OF_PIPELINE
from keepbusy.cli.app import app, main
from keepbusy.cli.commands import COMMANDS, load_command
from keepbusy.cli.habit_words import OF_COMMAND, SHORT, WORDS
from keepbusy.config import Options
from tests.build import square_picture, write_picture
from tests.habits_table import PAGE, PYTHON, SECTIONS, InPython, Same, Told, page

ROWS = [row for _, rows in SECTIONS for row in rows]
SAME = [row for row in ROWS if isinstance(row, Same)]
TOLD = [row for row in ROWS if isinstance(row, Told)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, blob_model: Path, clip: Path) -> Path:
    """A folder with what the table's command lines name."""
    folder = tmp_path_factory.mktemp("desk")
    for suffix in (".xml", ".bin"):
        shutil.copy(blob_model.with_suffix(suffix), folder / f"m{suffix}")
    shutil.copy(clip, folder / "clip.mp4")
    write_picture(folder / "photo.png", square_picture())
    (folder / "names.yaml").write_text("names: {0: rosso, 1: verde, 2: blu}\n")
    for name in ("best.pt", "best.engine"):
        (folder / name).write_bytes(b"not read")
    return folder


@pytest.fixture(autouse=True)
def at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)


def typed(line: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """Type a command line at the program; its exit code."""
    monkeypatch.setattr(sys, "argv", ["keepbusy", *shlex.split(line), *more])
    log = logging.getLogger("keepbusy")
    level, handlers = log.level, list(log.handlers)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        log.setLevel(level)
        log.handlers[:] = handlers
    return int(ended.value.code or 0)


def understood(line: str) -> tuple[str, dict[str, Any]]:
    """The command that a command line runs, and the values of its options."""
    group: Any = typer.main.get_command(app)
    with group.make_context("keepbusy", shlex.split(line)) as context:
        name, command, words = group.resolve_command(context, [*context._protected_args, *context.args])
        with command.make_context(name, words, parent=context) as parsed:
            return name, dict(parsed.params)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.typed)
def test_what_means_the_same_is_understood_as_the_same(row: Same) -> None:
    assert understood(row.typed) == understood(row.ours)


@pytest.mark.parametrize("row", [row for row in SAME if row.is_run], ids=lambda row: row.typed)
def test_what_means_the_same_writes_the_same(
    row: Same, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = []
    for number, line in enumerate((row.typed, row.ours)):
        folder = shutil.copytree(desk, tmp_path / str(number))
        monkeypatch.chdir(folder)
        assert typed(line, monkeypatch, "--json", "-", "-q", "--limit", "12") == 0, capfd.readouterr().err
        outcomes.append(
            (capfd.readouterr().out, {name: b for name, b in files_below(folder).items() if name[0] != "."})
        )
    assert outcomes[0] == outcomes[1]
    assert '"detections"' in outcomes[0][0]


@pytest.mark.parametrize("row", TOLD, ids=lambda row: row.typed)
def test_what_means_something_else_has_one_error_and_one_hint(
    row: Told, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code = typed(row.typed, monkeypatch)
    out, err = capfd.readouterr()
    assert (code, out) == (row.code, ""), err
    lines = err.splitlines()
    errors, hints = ([line for line in lines if line.startswith(f"{word}:")] for word in ("error", "hint"))
    assert (len(errors), len(hints)) == (1, 1), err
    assert row.error in errors[0], err
    assert row.hint in hints[0], err


@pytest.fixture(scope="module")
def words_in_python(blob_model: Path) -> Iterator[dict[str, Any]]:
    image = square_picture()
    with kb.Detector(blob_model) as detector, kb.Pipeline(blob_model) as pipeline:
        yield {"kb": kb, "detector": detector, "pipeline": pipeline, "image": image, "found": detector(image)}


@pytest.mark.parametrize("row", PYTHON, ids=lambda row: row.typed)
def test_what_is_called_otherwise_in_python_is_answered_by_ours(row: InPython, words_in_python: dict[str, Any]) -> None:
    with pytest.raises((kb.KeepbusyError, AttributeError)) as caught:
        eval(row.typed, dict(words_in_python))
    assert row.error in str(caught.value) and "\n" not in str(caught.value)
    told = caught.value.hint if isinstance(caught.value, kb.KeepbusyError) else str(caught.value)
    assert row.hint in (told or "")


def test_awaited_calls_are_answered_alike_and_stay_coroutines(blob_model: Path) -> None:
    with kb.Detector(blob_model) as detector:
        assert inspect.iscoroutinefunction(detector.detect)
        odd: Any = detector
        with pytest.raises(kb.ConfigError, match="`conf` is an option of the Detector"):
            asyncio.run(odd.detect(square_picture(), conf=0.3))
        assert len(asyncio.run(detector.detect(square_picture())))


def test_our_words_are_no_words_of_others() -> None:
    for kind, words in ((kb.Detector, OF_DETECTOR), (kb.Pipeline, OF_PIPELINE)):
        assert not [word for word in words if hasattr(kind, word)]
    assert not [word for word in OF_OPTIONS if word in Options.__annotations__ or word == "names"]


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.habits_table writes it"
    assert len(ROWS) == len({row.typed for row in ROWS}) >= 60


def test_every_known_word_stands_in_the_table_or_beside_one_that_means_the_same() -> None:
    words = {part.lstrip("-").partition("=")[0].lower().replace("_", "-") for row in ROWS for part in row.typed.split()}
    rows = {**WORDS, **{word: habit for habits in OF_COMMAND.values() for word, habit in habits.items()}}
    shown = [rows[word] for word in words if word in rows]
    assert {word for word, habit in rows.items() if word not in words and habit not in shown} == set()
    assert set(rows) >= SHORT


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_units_and_choices_and_no_types(name: str) -> None:
    command = load_command(name)
    with command.make_context(name, [], resilient_parsing=True) as context:
        for param in command.get_params(context):
            shown = param.display_type_rich(ctx=context)
            if param.param_type_name == "argument" or getattr(param, "is_flag", False):
                assert not shown, param.opts
            else:
                assert shown and "<" not in shown, param.opts
            assert param.help, param.opts


def test_a_file_comes_before_a_word(
    monkeypatch: pytest.MonkeyPatch, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("conf=0.4", "predict"):
        shutil.copy(desk / "photo.png", desk / name)
    assert understood("detect conf=0.4")[1]["sources"] == ["conf=0.4"]
    assert understood("detect predict")[1]["sources"] == ["predict"]
    assert typed("detect conf=0.4 -m m.xml --json - -q", monkeypatch) == 0
    assert '"source":"conf=0.4"' in capfd.readouterr().out
    for name in ("conf=0.4", "predict"):
        (desk / name).unlink()


def test_what_stands_behind_two_dashes_and_values_of_options_are_left_alone() -> None:
    assert understood("detect -m m.xml -- conf=0.4 predict")[1]["sources"] == ["conf=0.4", "predict"]
    assert understood("detect clip.mp4 --class-conf person=0.5 --json source=x")[1]["json"] == "source=x"
    assert understood("detect clip.mp4 -qd CPU")[1]["device"] == "CPU"
    assert understood("detect clip.mp4 -mm.xml")[1]["model"] == Path("m.xml")
