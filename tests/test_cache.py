from __future__ import annotations

import os
from pathlib import Path

import pytest

from keepbusy.cache.compiled import MARK, compiled_folder, prune
from keepbusy.cache.fingerprint import fingerprint, model_fingerprint
from keepbusy.cache.folder import cache_folder
from keepbusy.cache.notes import Notebook
from tests.graphs import save_with_weights


def test_the_folder_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("KEEPBUSY_CACHE")
    assert cache_folder().name == "keepbusy"


def test_what_is_noted_is_remembered_under_its_key_only(tmp_path: Path) -> None:
    book = Notebook(tmp_path)
    assert book.read({"a": 1}) is None
    book.write({"a": 1}, {"strategy": "tail"})
    assert Notebook(tmp_path).read({"a": 1}) == {"strategy": "tail"}
    assert book.read({"a": 2}) is None
    book.write({"a": 1}, {"strategy": "host"})
    assert book.read({"a": 1}) == {"strategy": "host"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": {"a": 2}, "value": {}}', '{"key": {"a": 1}, "value": 3}'])
def test_a_damaged_note_counts_as_none(tmp_path: Path, content: str) -> None:
    Notebook(tmp_path).write({"a": 1}, {"strategy": "tail"})
    (note,) = tmp_path.iterdir()
    note.write_text(content, encoding="utf-8")
    assert Notebook(tmp_path).read({"a": 1}) in (None, {"strategy": "tail"})
    Notebook(tmp_path).write({"a": 1}, {"strategy": "stock"})
    assert Notebook(tmp_path).read({"a": 1}) == {"strategy": "stock"}


def test_where_nothing_can_be_written_a_note_holds_for_the_process(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    book = Notebook(blocked / "measured")
    book.write({"a": 1}, {"strategy": "tail"})
    assert Notebook(blocked / "measured").read({"a": 1}) == {"strategy": "tail"}


def test_pruning_deletes_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    folder = compiled_folder("2026")
    assert folder is not None
    for age, name in enumerate(("11", "22", "33")):
        path = folder / f"{name}.blob"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age * 1000, 1e9 - age * 1000))
    assert prune(folder.parent, 250) == 1
    assert sorted(path.name for path in folder.rglob("*.blob")) == ["11.blob", "22.blob"]
    assert prune(folder.parent, 250) == 0


def test_pruning_deletes_nothing_that_keepbusy_did_not_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    theirs = tmp_path / "compiled"
    outside = tmp_path / "outside"
    for path in ("video.mov", "1.0/video.mov", "1.0/12.blob", "2.0/deep/12.blob"):
        (theirs / path).parent.mkdir(parents=True, exist_ok=True)
        (theirs / path).write_bytes(b"x" * 100)
    outside.mkdir()
    (outside / "12.blob").write_bytes(b"x" * 100)
    assert compiled_folder("1.0") is None and compiled_folder("2.0") is None
    ours = compiled_folder("3.0")
    assert ours is not None
    (ours / "mine.mov").write_bytes(b"x" * 100)
    (ours / "mine.blob").write_bytes(b"x" * 100)
    (ours / "12.blob").write_bytes(b"x" * 100)
    (ours / "34.blob").symlink_to(outside / "12.blob")
    (ours / "56.blob").mkdir()
    (theirs / "4.0").symlink_to(outside)
    before = {path for path in tmp_path.rglob("*")}
    assert prune(theirs, 0) == 1
    assert before - {path for path in tmp_path.rglob("*")} == {ours / "12.blob"}
    # A mark that only looks like ours does not count, nor one that is a link.
    (outside / MARK).symlink_to(ours / MARK)
    (theirs / "1.0" / MARK).write_text("Signature: of somebody else\n")
    assert prune(theirs, 0) == 0 and compiled_folder("1.0") is None and compiled_folder("4.0") is None


def test_a_note_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    value = {"levels": [{"stride_px": 8, "anchors_px": [[10.0, 13.0]]}], "num_bins": 0}
    Notebook(tmp_path).write({"a": 1}, value)
    (note,) = tmp_path.iterdir()
    whole = note.read_bytes()
    assert Notebook(tmp_path).read({"a": 1}) == value
    for place, letter in enumerate(whole):
        for other in b"07x":
            if other != letter:
                note.write_bytes(whole[:place] + bytes((other,)) + whole[place + 1 :])
                assert Notebook(tmp_path).read({"a": 1}) in (None, value)
    note.write_text('{"key": {"a": 1}, "value": {}}')
    assert Notebook(tmp_path).read({"a": 1}) is None


def test_a_compiled_folder_that_cannot_be_made_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    assert compiled_folder("1.0") == tmp_path / "compiled" / "1.0"
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "file"))
    assert compiled_folder("1.0") is None


def test_fingerprints_differ_by_content_and_by_what_is_missing(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"ab")
    second.write_bytes(b"c")
    together = fingerprint([first, second])
    first.write_bytes(b"a")
    second.write_bytes(b"bc")
    assert fingerprint([first, second]) != together
    assert fingerprint([first, tmp_path / "none"]) != fingerprint([first])


def test_weights_that_an_onnx_file_names_belong_to_the_fingerprint(tmp_path: Path) -> None:
    model = save_with_weights(tmp_path / "onnx" / "m.onnx", "weights_blob")
    weights = tmp_path / "onnx" / "weights_blob"
    before = model_fingerprint(model)
    weights.write_bytes(bytes(weights.stat().st_size))
    assert model_fingerprint(model) != before
    # What is no file is not read: it may have no end.
    weights.unlink()
    weights.symlink_to("/dev/zero")
    model_fingerprint(model)


def test_weights_in_another_case_belong_to_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("graph")
    (tmp_path / "model.BIN").write_bytes(b"some weights")
    before = model_fingerprint(tmp_path / "model.xml")
    (tmp_path / "model.BIN").write_bytes(b"others, longer")
    assert model_fingerprint(tmp_path / "model.xml") != before


@pytest.mark.parametrize("what", ["pipe", "folder", "link", "large"])
def test_what_is_no_note_is_not_read(tmp_path: Path, what: str) -> None:
    Notebook(tmp_path).write({"b": what}, {"strategy": "tail"})
    (note,) = tmp_path.iterdir()
    Notebook._in_memory.clear()
    note.unlink()
    if what == "pipe":
        os.mkfifo(note)
    elif what == "folder":
        note.mkdir()
    elif what == "link":
        note.symlink_to("/dev/zero")
    else:
        note.write_text(" " * (2 << 20))
    assert Notebook(tmp_path).read({"b": what}) is None


@pytest.mark.parametrize(
    "key", [{"what": "graph", "a": 1}, {"what": "head", "a": 1}, {"what": "right", "a": 1}, {"what": "cost", "a": 1}]
)
def test_a_note_of_another_key_is_not_believed_in_its_place(tmp_path: Path, key: dict[str, object]) -> None:
    Notebook(tmp_path).write(key, {"value": 1.5})
    (note,) = tmp_path.iterdir()
    content = note.read_bytes()
    other = {**key, "a": 2}
    Notebook(tmp_path).write(other, {"value": 2.5})
    (second,) = (path for path in tmp_path.iterdir() if path != note)
    second.write_bytes(content)
    Notebook._in_memory.clear()
    assert Notebook(tmp_path).read(other) is None and Notebook(tmp_path).read(key) == {"value": 1.5}
