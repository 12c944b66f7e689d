"""Folders that reports, pictures and models go to: no link in them is followed, and none is left empty."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from keepbusy.cli import demo
from keepbusy.cli.app import app
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import ConfigError, SinkError
from keepbusy.files.whole import copy_whole
from keepbusy.models.saved_form import is_saved_by_us
from keepbusy.optimize.rewrite import publish
from keepbusy.sinks.naming import made_folder

EVALUATION = ("eval", "--data", "synth:street?seed=2000001&frames=2", "-q", "--save-dir")
EVAL_FILES = ("confusion_matrix.png", "precision_recall.png", "confidence.png", "metrics.json", "detections.json")
VERIFICATION = ("verify", str(embedded_clip()), "--frames", "1", "--save")


def test_no_link_in_the_folder_of_an_evaluation_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for name in EVAL_FILES:
        (tmp_path / f"mine-{name}").write_text("mine")
        (folder / name).symlink_to(tmp_path / f"mine-{name}")
    done = CliRunner().invoke(app, [*EVALUATION, str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for name in EVAL_FILES:
        assert (tmp_path / f"mine-{name}").read_text() == "mine"
        assert not (folder / name).is_symlink() and (folder / name).stat().st_size > 100


def test_a_report_that_the_user_names_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "scores.json")
    words = [*EVALUATION[:-1], "--json", str(tmp_path / "link.json")]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "scores.json").stat().st_size > 100


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_no_link_in_the_folder_of_the_demo_is_followed(tmp_path: Path, kind: str, blob_model: Path, clip: Path) -> None:
    victim, names = tmp_path / "victim", ("street.jpg", "street.mp4", "street.jsonl")
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    for name in names:
        if kind == "link":
            (tmp_path / "out" / name).symlink_to(victim)
        else:
            os.mkfifo(tmp_path / "out" / name)
    demo._save(Console(quiet=True), blob_model, clip, "CPU", tmp_path / "out")
    assert victim.read_text() == "precious"
    for name in names:
        assert (tmp_path / "out" / name).is_file() and not (tmp_path / "out" / name).is_symlink()


@pytest.mark.parametrize("name", ["m.xml", "m.bin", ".m.xml.part", ".m.bin.part"])
def test_no_link_in_the_folder_of_an_optimized_model_is_followed(tmp_path: Path, name: str) -> None:
    made, folder, victim = tmp_path / "made", tmp_path / "out", tmp_path / "victim"
    for one in (made, folder):
        one.mkdir()
    victim.write_text("precious")
    for suffix in (".xml", ".bin"):
        (made / f"m{suffix}").write_bytes(embedded_model().with_suffix(suffix).read_bytes())
    (folder / name).symlink_to(victim)
    assert publish(made / "m.xml", folder) == folder / "m.xml"
    assert victim.read_text() == "precious"
    for suffix in (".xml", ".bin"):
        assert not (folder / f"m{suffix}").is_symlink()
        assert (folder / f"m{suffix}").read_bytes() == (made / f"m{suffix}").read_bytes()


def test_a_copy_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("earlier")
    with pytest.raises(SinkError, match="cannot be written"):
        copy_whole(tmp_path, tmp_path / "there")
    assert os.listdir(tmp_path) == ["there"] and (tmp_path / "there").read_text() == "earlier"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SinkError("no room")])
@pytest.mark.parametrize("was_there", [False, True])
def test_weights_are_not_left_without_their_graph(
    tmp_path: Path, was_there: bool, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = tmp_path / "made", tmp_path / "out"
    for one in (made, folder):
        one.mkdir()
    for suffix in (".xml", ".bin"):
        (made / f"m{suffix}").write_bytes(b"new")
    if was_there:
        (folder / "m.bin").write_bytes(b"earlier")

    def copy(source: Path, place: Path) -> None:
        if source.suffix == ".xml":
            raise error
        copy_whole(source, place)

    monkeypatch.setattr("keepbusy.optimize.rewrite.copy_whole", copy)
    with pytest.raises(type(error)):
        publish(made / "m.xml", folder)
    assert os.listdir(folder) == (["m.bin"] if was_there else [])


@pytest.mark.parametrize(
    ("command", "broken_off"),
    [
        (EVALUATION, "keepbusy.evaluate.run.collect"),
        (EVALUATION, "keepbusy.evaluate.plots.draw_confusion"),
        (VERIFICATION, "keepbusy.evaluate.verify.verify"),
        (VERIFICATION, "keepbusy.evaluate.verify_report.render"),
    ],
)
@pytest.mark.parametrize("was_there", [False, True])
def test_an_interrupt_leaves_no_empty_folder(
    tmp_path: Path, command: tuple[str, ...], broken_off: str, was_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "out"
    if was_there:
        folder.mkdir(parents=True)

    def interrupt(*_: object, **__: object) -> None:
        assert folder.is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(broken_off, interrupt)
    done = CliRunner().invoke(app, [*command, str(folder)])
    assert done.exit_code == 130, (done.output, done.exception)
    assert folder.exists() == was_there and folder.parent.exists() == was_there


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    for name in ("empty", "full"):
        with pytest.raises(KeyboardInterrupt), made_folder(tmp_path / "a" / name):
            if name == "full":
                (tmp_path / "a" / name / "x").touch()
            raise KeyboardInterrupt
    assert os.listdir(tmp_path / "a") == ["full"]


OPTIMIZATION = ("optimize", "{model}", "-o", "{folder}", "--data", "{data}", "--shape", "448x640", "--force", "-q")
QUICK = ("--limit", "1", "--rounds", "1", "--seconds", "0.1")


def optimize_into(folder: Path, *more: str) -> Any:
    model = folder.parent / "m.xml"
    for suffix in (".xml", ".bin"):
        model.with_suffix(suffix).write_bytes(embedded_model().with_suffix(suffix).read_bytes())
    words = [word.format(model=model, folder=folder, data=embedded_clip()) for word in (*OPTIMIZATION, *QUICK)]
    return CliRunner().invoke(app, [*words, *more])


@pytest.mark.parametrize("name", ["m-448x640.xml", "m-448x640.bin"])
@pytest.mark.parametrize("kind", ["file", "copy of the original", "gone link", "pipe", "empty"])
def test_models_of_somebody_else_are_not_written_over(tmp_path: Path, name: str, kind: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    mine = folder / name
    if kind == "gone link":
        mine.symlink_to(tmp_path / "gone")
    elif kind == "pipe":
        os.mkfifo(mine)
    elif kind == "copy of the original":
        mine.write_bytes(embedded_model().with_suffix(mine.suffix).read_bytes())
    else:
        mine.write_text("mine" if kind == "file" else "")
    before = (mine.lstat().st_ino, mine.lstat().st_mtime_ns)
    done = optimize_into(folder)
    assert isinstance(done.exception, ConfigError), (done.exception, done.output)
    assert name in done.exception.message and "`exist_ok`" in (done.exception.hint or "")
    assert os.listdir(folder) == [name] and (mine.lstat().st_ino, mine.lstat().st_mtime_ns) == before


def test_int8_models_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "m-int8.xml").write_text("mine")
    done = optimize_into(tmp_path / "out", "--int8")
    assert isinstance(done.exception, ConfigError) and "m-int8.xml" in done.exception.message


def test_models_of_our_own_are_replaced_and_others_where_that_is_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    graph = folder / "m-448x640.xml"
    graph.write_text("theirs")
    for more in (("--exist-ok",), ()):
        done = optimize_into(folder, *more)
        assert done.exit_code == 0, (done.exception, done.output)
        assert is_saved_by_us(graph) and set(os.listdir(folder)) == {"m-448x640.xml", "m-448x640.bin"}
