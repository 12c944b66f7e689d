"""Folders of labels: whose they are, and what was changed in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepbusy.cli.app import app
from keepbusy.errors import SinkError
from keepbusy.sinks.label_folder import CLOCK_S, MARK, claim_labels
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.yolo_txt import YoloTxt
from tests.build import square_picture, write_picture
from tests.test_faults_sinks import files_below, result


def write_labels(folder: Path, *, exist_ok: bool = False, source: str = "a.mp4") -> None:
    sink = YoloTxt(folder, OutputNames(), mark=claim_labels(folder, exist_ok=exist_ok))
    sink.write(result(source))
    sink.close()


def make_older(folder: Path, seconds: float) -> None:
    """As if everything in a folder had been written so much earlier."""
    for path in folder.rglob("*"):
        status = path.lstat()
        os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds), follow_symlinks=False)


def test_labels_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    (labels / "train").mkdir(parents=True)
    (labels / "train" / "a.txt").write_text("0 0.5 0.5 1 1")
    for _ in range(2):
        with pytest.raises(SinkError, match="keepbusy did not write") as caught:
            claim_labels(labels, exist_ok=False)
        assert "train" in caught.value.message and "`exist_ok`" in (caught.value.hint or "")
        # What was allowed once is asked for again.
        claim_labels(labels, exist_ok=True)
    assert files_below(labels) == ["train/a.txt"]


def test_labels_of_our_own_are_written_over(tmp_path: Path) -> None:
    for number in range(2):
        claim_labels(tmp_path / "labels", exist_ok=False)
        sink = YoloTxt(tmp_path / "labels", OutputNames())
        sink.write(result(names=("行人",) if number else ("thing",)))
    assert files_below(tmp_path / "labels") == [".keepbusy", "a_000000.txt"]


@pytest.mark.parametrize("name", ["a_000000.txt", "by_hand.txt", "train/b.txt", "linked.txt"])
def test_labels_that_somebody_has_changed_are_not_written_over(tmp_path: Path, name: str) -> None:
    labels = tmp_path / "labels"
    write_labels(labels)
    make_older(labels, 60)
    write_labels(labels)
    make_older(labels, 60)
    mine = labels / name
    mine.parent.mkdir(exist_ok=True)
    if name == "linked.txt":
        mine.symlink_to(tmp_path / "elsewhere")
    else:
        mine.write_text("0 0.5 0.5 1 1\n")
    for _ in range(2):
        with pytest.raises(SinkError, match="changed after keepbusy") as caught:
            write_labels(labels)
        assert name in caught.value.message and "`exist_ok`" in (caught.value.hint or "")
        # What was allowed once is asked for again, also where it wrote another file.
        write_labels(labels, exist_ok=True, source="z.mp4")


def test_the_first_changed_label_is_named(tmp_path: Path) -> None:
    write_labels(tmp_path)
    make_older(tmp_path, 60)
    for name in ("10.txt", "9.txt", "notes.md"):
        (tmp_path / name).touch()
    with pytest.raises(SinkError, match=r"has 9\.txt in it"):
        write_labels(tmp_path)


def test_changes_below_a_folder_without_sub_folders_do_not_count(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", square_picture())
    words = ["detect", str(picture), "--save-txt", str(tmp_path / "labels"), "-q"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    make_older(tmp_path / "labels", 60)
    (tmp_path / "labels" / "corrected").mkdir()
    (tmp_path / "labels" / "corrected" / "a.txt").write_text("mine")
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    make_older(tmp_path / "labels", 60)
    (tmp_path / "labels" / "a.txt").write_text("mine")
    failed = CliRunner().invoke(app, words)
    assert isinstance(failed.exception, SinkError) and (tmp_path / "labels" / "a.txt").read_text() == "mine"
    assert CliRunner().invoke(app, [*words, "--exist-ok"], catch_exceptions=False).exit_code == 0


def test_a_run_that_was_killed_leaves_labels_of_our_own(tmp_path: Path) -> None:
    mark = claim_labels(tmp_path, exist_ok=False)
    make_older(tmp_path, 60)
    YoloTxt(tmp_path, OutputNames(), mark=mark).write(result())
    claim_labels(tmp_path, exist_ok=False)


def test_times_in_steps_of_two_seconds_do_not_matter(tmp_path: Path) -> None:
    write_labels(tmp_path)
    written_s = (tmp_path / "a_000000.txt").stat().st_mtime
    os.utime(tmp_path / MARK, (written_s, written_s - CLOCK_S))
    claim_labels(tmp_path, exist_ok=False)
    os.utime(tmp_path / MARK, (written_s, written_s - CLOCK_S - 0.1))
    with pytest.raises(SinkError):
        claim_labels(tmp_path, exist_ok=False)


@pytest.mark.parametrize("kind", ["link", "link to a mark", "gone link", "pipe", "other text", "too long"])
def test_what_is_no_mark_is_none_and_is_not_followed(tmp_path: Path, kind: str) -> None:
    labels, victim = tmp_path / "labels", tmp_path / "victim"
    labels.mkdir()
    victim.write_text("precious")
    mark = labels / MARK
    if kind == "link to a mark":
        claim_labels(tmp_path / "other", exist_ok=False)
        mark.symlink_to(tmp_path / "other" / MARK)
    elif kind == "pipe":
        os.mkfifo(mark)
    elif "link" in kind:
        mark.symlink_to(victim if kind == "link" else tmp_path / "gone")
    else:
        mark.write_text("x" if kind == "other text" else "x" * 100_000)
    (labels / "a.txt").write_text("mine")
    with pytest.raises(SinkError, match="keepbusy did not write"):
        claim_labels(labels, exist_ok=False)
    (labels / "a.txt").unlink()
    claim_labels(labels, exist_ok=False)
    assert mark.is_file() and not mark.is_symlink() and mark.read_text().startswith("Labels")
    assert victim.read_text() == "precious" and not (tmp_path / "gone").exists()
