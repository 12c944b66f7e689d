"""What is kept of compiled models is believed only where it is what was written."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.cache.compiled import MARK, BlobFolder, compiled_folder, prune
from keepbusy.models import load_model
from keepbusy.models.head import find_head
from keepbusy.models.prepare import prepare
from tests.build import blob_graph, square_picture
from tests.head_graphs import head_model

KEY: dict[str, Any] = {"a": 1}


def build_model(path: Path, scale: float) -> Path:
    """The blob detector with all its confidences scaled."""
    graph = blob_graph()
    output = graph.outputs[0].get_node().input_value(0)
    factors = ops.constant(np.array([1, 1, 1, 1, scale, 1, 1, 1], np.float32))
    scaled = ov.Model([ops.multiply(output, factors)], graph.get_parameters(), "scaled")
    scaled.set_rt_info("red green blue", ["model_info", "labels"])
    ov.save_model(scaled, path, compress_to_fp16=False)
    return path


def confidence(model: Path, cache_dir: Path | Literal[False] | None) -> float:
    """Of the red square, by a detector of its own."""
    found = kb.Detector(model, precision="f32", device="CPU", cache_dir=cache_dir)(square_picture())
    return round(float(found.confidence.max()), 3)


def blobs_of(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.blob"))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.message for record in caplog.records if "not as it was written" in record.message]
    caplog.clear()
    return said


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    return build_model(tmp_path / "one.xml", 0.9), build_model(tmp_path / "two.xml", 0.6)


@pytest.fixture(params=["own", "given"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, or one that is given with the option."""
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "cache"))
    return tmp_path / ("cache" if request.param == "own" else "given")


def place(cache: Path) -> Path | None:
    return cache if cache.name == "given" else None


def both(models: tuple[Path, Path], cache: Path) -> tuple[float, float]:
    return confidence(models[0], place(cache)), confidence(models[1], place(cache))


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_a_compiled_model_is_used_again(
    models: tuple[Path, Path], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert both(models, cache) == (0.9, 0.6)
    before = {path: path.stat().st_mtime_ns for path in blobs_of(cache)}
    assert len(before) == 2 and both(models, cache) == (0.9, 0.6)
    assert {path: path.stat().st_mtime_ns for path in blobs_of(cache)} == before
    assert not warnings_of(caplog)


def test_compiled_models_that_were_swapped_are_not_believed(
    models: tuple[Path, Path], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert both(models, cache) == (0.9, 0.6)
    swap(*blobs_of(cache))
    assert both(models, cache) == (0.9, 0.6)
    assert len(warnings_of(caplog)) == 2
    # With their times and their notes.
    for names in (("*.blob",), ("*.blob", "*.json")):
        one, other = (path.parent for path in blobs_of(cache))
        for pattern in names:
            (first,), (second,) = one.glob(pattern), other.glob(pattern)
            contents, times = first.read_bytes(), first.stat()
            first.write_bytes(second.read_bytes())
            os.utime(first, ns=(second.stat().st_atime_ns, second.stat().st_mtime_ns))
            second.write_bytes(contents)
            os.utime(second, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert both(models, cache) == (0.9, 0.6)
        assert len(warnings_of(caplog)) == 2
    one, other = (path.parent for path in blobs_of(cache))
    swap(one, other)
    assert both(models, cache) == (0.9, 0.6)
    assert len(warnings_of(caplog)) == 2 and both(models, cache) == (0.9, 0.6) and not warnings_of(caplog)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def link(path: Path) -> None:
    target = path.parent.parent / "elsewhere.blob"
    path.rename(target)
    path.symlink_to(target)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def spoil_note(path: Path) -> None:
    (note,) = path.parent.glob("*.json")
    note.write_text(note.read_text().replace('"sha256": "', '"sha256": "0'))


def empty_note(path: Path) -> None:
    (note,) = path.parent.glob("*.json")
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "value": {"files": {}}}))


SPOILS: list[Callable[[Path], object]] = [
    truncate,
    flip,
    lambda path: flip(path, 0.1),
    lambda path: flip(path, 0.999),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    lambda path: path.unlink(),
    link,
    make_folder,
    pipe,
    spoil_note,
    empty_note,
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_compiled_model_is_compiled_anew_and_reported(
    models: tuple[Path, Path], cache: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    assert confidence(models[0], place(cache)) == 0.9
    (blob,) = blobs_of(cache)
    spoil(blob)
    assert confidence(models[0], place(cache)) == 0.9
    assert len(warnings_of(caplog)) == 1
    assert confidence(models[0], place(cache)) == 0.9 and not warnings_of(caplog)
    assert not blob.parent.exists() and [path for path in blobs_of(cache) if path.parent.name != cache.name]


def test_copies_of_a_cache_are_believed_after_their_contents_were_compared(
    models: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert confidence(models[0], tmp_path / "one") == 0.9
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    (blob,) = blobs_of(tmp_path / "two")
    (note,) = blob.parent.glob("*.json")
    before = blob.stat().st_mtime_ns, note.read_text()
    assert confidence(models[0], tmp_path / "two") == 0.9
    assert blob.stat().st_mtime_ns == before[0] and note.read_text() != before[1]
    assert not warnings_of(caplog)


def test_what_others_keep_in_the_folder_stays(models: tuple[Path, Path], tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "1234.blob").write_bytes(b"of another program")
    assert confidence(models[0], given) == 0.9
    (blob,) = (path for path in blobs_of(given) if path.parent != given)
    for name in ("mine.txt", "mine.blob", "mine.json"):
        (blob.parent / name).write_text("mine")
    truncate(blob)
    assert confidence(models[0], given) == 0.9
    assert (given / "1234.blob").read_bytes() == b"of another program"
    assert not blob.exists()
    assert [(blob.parent / name).read_text() for name in ("mine.txt", "mine.blob", "mine.json")] == ["mine"] * 3
    # A folder with the right name that is not marked is not ours.
    assert not (blob.parent / MARK).exists()
    blob.write_bytes(b"mine")
    assert confidence(models[0], given) == 0.9 and blob.read_bytes() == b"mine"


def test_a_place_that_cannot_be_written_costs_time_only(models: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keepbusy.cache.compiled.secrets.token_hex", lambda size: "x" * 300)
        assert confidence(models[0], tmp_path / "given") == 0.9
    assert not blobs_of(tmp_path / "given")


def test_a_folder_that_is_not_complete_is_not_used_and_goes_when_it_is_old(tmp_path: Path) -> None:
    first = BlobFolder.open(tmp_path, KEY)
    (first.path / "1.blob").write_bytes(b"half")
    second = BlobFolder.open(tmp_path, KEY)
    (second.path / "1.blob").write_bytes(b"whole")
    second.finish()
    assert second.path != first.path
    third = BlobFolder.open(tmp_path, KEY)
    assert third.is_known and third.path == second.path and first.path.exists()
    assert not BlobFolder.open(tmp_path, {"a": 2}).is_known
    os.utime(first.path, (1e9, 1e9))
    shutil.rmtree(second.path)
    fourth = BlobFolder.open(tmp_path, KEY)
    assert not fourth.is_known and not first.path.exists()


def test_a_complete_folder_that_changes_while_it_is_used_is_given_up(tmp_path: Path) -> None:
    first = BlobFolder.open(tmp_path, KEY)
    (first.path / "1.blob").write_bytes(b"whole")
    first.finish()
    for change in ("2.blob", "1.blob"):
        again = BlobFolder.open(tmp_path, KEY)
        assert again.is_known == (change == "2.blob")
        (again.path / change).write_bytes(b"another")
        again.finish()
        assert again.path.exists() == (change == "1.blob")


def test_files_that_the_note_does_not_know_are_deleted(tmp_path: Path) -> None:
    first = BlobFolder.open(tmp_path, KEY)
    (first.path / "1.blob").write_bytes(b"whole")
    first.finish()
    (first.path / "2.blob").write_bytes(b"late")
    again = BlobFolder.open(tmp_path, KEY)
    assert again.is_known and [path.name for path in blobs_of(again.path)] == ["1.blob"]


def test_where_a_device_keeps_nothing_no_folder_is_left(tmp_path: Path) -> None:
    folder = BlobFolder.open(tmp_path, KEY)
    folder.finish()
    assert not list(tmp_path.iterdir())


def test_pruning_takes_a_compiled_model_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    parent = compiled_folder("2026")
    assert parent is not None
    folders = []
    for age in range(3):
        folder = BlobFolder.open(parent, {"age": age})
        for name in ("1.blob", "2.blob"):
            (folder.path / name).write_bytes(b"x" * 50)
        folder.finish()
        os.utime(folder.path / MARK, (1e9 - age * 1000,) * 2)
        folders.append(folder.path)
    assert prune(parent.parent, 250) == 1
    assert [path.exists() for path in folders] == [True, True, False]
    # What is used again counts as new.
    assert BlobFolder.open(parent, {"age": 1}).is_known
    assert prune(parent.parent, 150) == 1
    assert [path.exists() for path in folders] == [False, True, False]


def test_two_processes_at_once_end_with_what_each_can_use(models: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import sys, keepbusy as kb, numpy as np\n"
        "found = kb.Detector(sys.argv[1], precision='f32', cache_dir=sys.argv[2])"
        "(np.full((64, 96, 3), (0, 0, 255)).astype(np.uint8))\n"
        "print(round(float(found.confidence.max()), 3))"
    )
    for _ in range(2):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(model), str(tmp_path / "given")],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
            for model in (*models, *models)
        ]
        ended = [process.communicate(timeout=120) for process in running]
        assert [(out.strip(), err) for out, err in ended] == [("0.9", ""), ("0.6", "")] * 2
    assert all(list(blob.parent.glob("*.json")) for blob in blobs_of(tmp_path / "given"))


def test_a_device_that_compiles_in_the_background_is_noted_when_it_ends(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    for _ in range(2):
        detector = kb.Detector(models[0], precision="f32", device="AUTO", cache_dir=tmp_path / "given")
        assert round(float(detector(square_picture()).confidence.max()), 3) == 0.9
        del detector
        gc.collect()
    for blob in blobs_of(tmp_path / "given"):
        assert list(blob.parent.glob("*.json"))


def test_a_graph_is_found_again_however_many_were_made_before_it(tmp_path: Path) -> None:
    model = load_model(head_model(tmp_path / "m.xml", "yolov8"))
    head = find_head(model.graph, model.output, model.input_hw)
    for strategy in ("stock", "tail", "host"):
        for _ in range(2):
            graph = prepare(model, head=head, strategy=strategy).graph
            ov.Core().compile_model(graph, "CPU", {"CACHE_DIR": str(tmp_path / strategy)})
        assert len(blobs_of(tmp_path / strategy)) == 1
