"""Batches: plans, shards, manifests, refusals, bad input. See test_batch_crashes.py and test_batch_cuts.py for more."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.batch import UnitConfig, read_status, run_batch
from keepbusy.batch.folder import job_folder
from keepbusy.batch.manifest import Manifest, read_manifest
from keepbusy.batch.schema import schemas
from keepbusy.batch.units import Entry, Unit
from keepbusy.errors import ConfigError, KeepbusyError, SinkError, SourceError
from tests.batch_jobs import frames_of, names_in, records_in, rows_in, run_program, state_in
from tests.build import square_picture, write_picture, write_video


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and five pictures."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(2):
        write_video(folder / f"clip{number}.mp4", num_frames=20 + number)
    for number in range(5):
        write_picture(folder / f"{number}.png", square_picture(8 * number))
    return folder


@pytest.fixture(scope="module")
def found(archive: Path, blob_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's batch. Not to be changed."""
    output = tmp_path_factory.mktemp("found") / "out"
    done = run_batch(archive, output, blob_model, conf=0.5, units=UnitConfig(pictures=3))
    assert (done.num_files, done.num_units, done.num_done, done.num_frames) == (7, 4, 4, 46)
    assert done.num_problems == 0 and done.is_over
    return output


@pytest.fixture
def copy(found: Path, tmp_path: Path) -> Path:
    """A copy of the archive's batch that may be changed."""
    return Path(shutil.copytree(found, tmp_path / "copy"))


def again(archive: str | Path, output: Path, model: Path, **options: Any) -> kb.batch.Progress:
    return run_batch(archive, output, model, **{"conf": 0.5, "units": UnitConfig(pictures=3), **options})


def test_the_tables_have_what_detect_writes(found: Path, archive: Path, blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    kb.detect_to(blob_model, archive, out, conf=0.5)
    wanted = records_in(out)
    for one in wanted:
        if one["source"].endswith(".png"):
            one["index"] = 0  # Each picture is a file of one frame.
    kb.batch.export(found, json=tmp_path / "batch.jsonl")
    key = lambda one: (one["source"], one["index"])  # noqa: E731
    assert sorted(records_in(tmp_path / "batch.jsonl"), key=key) == sorted(wanted, key=key)


def test_the_schema_is_the_one_that_is_documented(found: Path) -> None:
    import pyarrow.parquet

    page = (Path(__file__).parents[1] / "docs" / "reference" / "batch.md").read_text(encoding="utf-8")
    for table, schema in schemas().items():
        shard = sorted((found / table).iterdir())[0]
        assert pyarrow.parquet.read_schema(shard).remove_metadata() == schema
        told = json.loads(pyarrow.parquet.read_schema(shard).metadata[b"keepbusy"])
        assert told["schema"] == 1 and told["format"] == "keepbusy-batch"
        assert [name for name in schema.names if f"`{name}`" not in page] == []


def test_done_is_done(copy: Path, archive: Path, blob_model: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")}
    assert again(archive, copy, blob_model).num_done == 4
    assert again(archive, copy, blob_model, read_threads=2, cache_dir=False).num_done == 4
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")} == before


def test_a_changed_model_or_setting_is_refused(copy: Path, archive: Path, blob_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.xml"
    shutil.copy(blob_model.with_suffix(".bin"), other.with_suffix(".bin"))
    other.write_text(blob_model.read_text(encoding="utf-8") + " ", encoding="utf-8")
    manifest = (copy / "manifest.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"results of other settings: conf: 0\.5 there, 0\.4 here"):
        again(archive, copy, blob_model, conf=0.4)
    with pytest.raises(ConfigError, match=r"model: blob\.xml there, other\.xml here; model_checksum"):
        again(archive, copy, other)
    with pytest.raises(ConfigError, match="stride: 1 there, 2 here"):
        again(archive, copy, blob_model, select=kb.SelectConfig(stride=2))
    assert (copy / "manifest.jsonl").read_bytes() == manifest
    done = again(archive, copy, blob_model, conf=0.4, overwrite=True)
    assert done.num_done == 4 and state_in(copy).settings["given"]["options"]["conf"] == 0.4
    assert len(names_in(copy)) == 8
    before = (copy / "manifest.jsonl").read_bytes()
    assert again(archive, copy, blob_model, conf=0.4, overwrite=True).num_done == 4
    assert (copy / "manifest.jsonl").read_bytes() == before, "nothing differs: nothing is made again"


def test_results_of_another_engine_are_not_mixed(copy: Path, archive: Path, blob_model: Path) -> None:
    path = copy / "manifest.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"openvino":"', '"openvino":"1.2.3-', 1), encoding="utf-8")
    write_video(archive / "clip2.mp4", num_frames=5)
    try:
        with pytest.raises(ConfigError, match=r"openvino: 1\.2\.3-\S* there, \S+ here"):
            again(archive, copy, blob_model)
    finally:
        (archive / "clip2.mp4").unlink()


def test_new_and_changed_files_are_done(copy: Path, blob_model: Path, archive: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(archive, tmp_path / "own"))
    output = tmp_path / "out"
    again(own, output, blob_model)
    before = rows_in(output)
    write_video(own / "clip0.mp4", num_frames=7)
    write_picture(own / "9.png", square_picture(3))
    write_picture(own / "1.png", square_picture(4))
    done = again(own, output, blob_model)
    rows = rows_in(output)
    assert done.num_files == 8 and done.num_done == 5
    frames = frames_of(rows)
    assert len(frames) == len(set(frames)) == len(frames_of(before)) + 1 - 13
    same = str(own / "clip1.mp4")
    for table, found in rows.items():
        assert [row for row in found if row["source"] == same] == [
            row for row in before[table] if row["source"] == same
        ]
    assert len(names_in(output)) == 10, "shards of what was replaced are removed"


def test_a_damaged_shard_is_made_again(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    shard = sorted((copy / "detections").iterdir())[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    sorted((copy / "frames").iterdir())[2].unlink()
    assert len(read_status(copy).damaged) == 2
    with pytest.raises(KeepbusyError, match="damaged or gone"):
        kb.batch.query(copy, "objects")
    again(archive, copy, blob_model)
    assert read_status(copy, reads_all=True).damaged == ()
    assert rows_in(copy) == wanted


def test_a_bit_that_fell_over_is_found_where_everything_is_read(copy: Path) -> None:
    shard = sorted((copy / "detections").iterdir())[0]
    status = shard.stat()
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_status(copy).damaged == ()
    assert len(read_status(copy, reads_all=True).damaged) == 1


def test_a_copied_folder_is_the_same_batch(copy: Path, archive: Path, blob_model: Path) -> None:
    for path in copy.rglob("*.parquet"):
        os.utime(path)
    assert read_status(copy).damaged == ()
    assert again(archive, copy, blob_model).num_done == 4


def test_a_torn_line_is_cut_off(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    path = copy / "manifest.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    state = state_in(copy)
    assert state.is_torn and len(state.shards) == 3
    again(archive, copy, blob_model)
    assert rows_in(copy) == wanted and not state_in(copy).is_torn


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"version":1', '"version":9', "is of version 9, and this keepbusy knows versions up to 1"),
        ('"what":"units"', '"what":"sums"', "line 2 is damaged"),
        ('"format":"keepbusy-batch"', '"format":"other"', "line 1 is damaged"),
        ('"what":"run"', '"what', "is damaged"),
        ('"settings":{"given":', '"settings":{"taken":', "line 1 is damaged"),
        ('"version":1', '"version":1e999', "line 1 is damaged"),
        ('"files":{"detections":', '"files":{"other":', "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_understood(
    old: str, new: str, words: str, copy: Path, archive: Path, blob_model: Path
) -> None:
    path = copy / "manifest.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(KeepbusyError, match=words) as raised:
        again(archive, copy, blob_model)
    assert raised.value.hint
    with pytest.raises(KeepbusyError, match=words):
        read_status(copy)
    assert path.read_bytes() == before


def test_a_last_line_that_cannot_be_understood_counts_for_nothing(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    path = copy / "manifest.jsonl"
    *lines, last = path.read_bytes().splitlines(keepends=True)
    assert b'"what":"done"' in last
    path.write_bytes(b"".join([*lines, last.replace(b'"detections":[', b'"other":[')]))
    assert read_status(copy).progress.num_done == 3
    again(archive, copy, blob_model)
    assert rows_in(copy) == wanted


def test_a_damaged_manifest_names_the_files_before_the_damage(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    path = copy / "manifest.jsonl"
    before = path.read_bytes().replace(b'"what":"done"', b'"what":"dome"', 1)
    path.write_bytes(before)
    again(archive / "clip0.mp4", copy, blob_model, overwrite=True)
    assert rows_in(copy) == wanted
    assert (copy / "manifest.jsonl.damaged").read_bytes() == before


def test_a_job_of_another_machine_is_made_again_where_that_is_asked_for(
    copy: Path, archive: Path, blob_model: Path
) -> None:
    wanted = rows_in(copy)
    path = copy / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"instruction_set":"', b'"instruction_set":"z80 ', 1))
    # What is done stays readable, and nothing is mixed.
    (copy / "frames" / "000001-1.parquet").unlink()
    with pytest.raises(ConfigError, match="instruction_set"):
        again(archive, copy, blob_model)
    done = again(archive / "clip0.mp4", copy, blob_model, overwrite=True)
    assert done.num_files == 7 and rows_in(copy) == wanted


def test_a_shard_with_a_flipped_bit_is_made_again(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    shard = copy / "detections" / "000001-1.parquet"
    content, times = bytearray(shard.read_bytes()), shard.stat()
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(KeepbusyError, match="damaged or gone"):
        kb.batch.query(copy, "SELECT * FROM detections")
    again(archive, copy, blob_model)
    assert rows_in(copy) == wanted


def test_nothing_is_lost_where_a_new_plan_is_not_written(
    copy: Path, archive: Path, blob_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = rows_in(copy)
    with monkeypatch.context() as patch:

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("keepbusy.batch.run.plan_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again(archive, copy, blob_model, conf=0.6, overwrite=True)
    assert rows_in(copy) == wanted
    again(archive, copy, blob_model)
    assert rows_in(copy) == wanted


def test_two_jobs_in_one_folder(copy: Path, archive: Path, blob_model: Path) -> None:
    with job_folder(copy):
        with pytest.raises(KeepbusyError, match="another batch is working in this folder"):
            again(archive, copy, blob_model)
        assert read_status(copy).is_running
        assert kb.batch.query(copy, "SELECT count(*) AS n FROM frames").to_pylist() == [{"n": 46}]
    assert not read_status(copy).is_running


def test_folders_that_are_not_the_batchs_are_left_alone(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    (output / "detections").mkdir(parents=True)
    (output / "detections" / "000001-1.parquet").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="has other files in it, and no batch"):
        again(archive, output, blob_model)
    assert (output / "detections" / "000001-1.parquet").read_bytes() == b"mine"
    with pytest.raises(ConfigError, match="is no folder"):
        again(archive, archive / "0.png", blob_model)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("empty", "has no pictures or videos in it"),
        ("nothing.mp4", "no such file or folder"),
        ("rtsp://camera/stream", "is no file"),
        ("synth:street?frames=3", "is no file"),
        ("-", "is no file"),
        ("*.mkv", "matches no file"),
        ("memory://nothing.mp4", "in this process's memory"),
        ("nonsense://bucket/clip.mp4", "nonsense"),
    ],
)
def test_sources_that_name_no_files(
    source: str, words: str, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=words):
        run_batch(source, "out", blob_model)
    assert not (tmp_path / "out").exists()


def test_the_same_file_twice_is_done_once(
    archive: Path, blob_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(archive / "clip0.mp4")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{archive / 'clip0.mp4'}\n# a comment\nlink.mp4\n", encoding="utf-8")
    done = run_batch([archive / "clip0.mp4", listed], tmp_path / "out", blob_model)
    assert (done.num_files, done.num_frames) == (1, 20)
    assert "2 files are named twice, and done once" in caplog.text


def test_files_that_cannot_be_read(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.mp4").write_bytes(b"nonsense" * 100)
    (files / "b.png").write_bytes(b"nonsense")
    shutil.copy(archive / "1.png", files)
    shutil.copy(archive / "clip0.mp4", files)
    output = tmp_path / "out"
    done = run_batch(files, output, blob_model)
    assert (done.num_done, done.num_failed, done.num_errors, done.num_problems) == (2, 1, 1, 2)
    assert "a.mp4" in done.failures[0].reason and done.failures[0].state == "failed"
    (bad,) = [row for row in rows_in(output)["frames"] if row["error"]]
    assert bad["source"].endswith("b.png") and bad["error"]["stage"] == "read" and bad["num_detections"] == 0
    assert kb.batch.query(output, "errors").to_pylist()[0]["source"] == bad["source"]
    with pytest.raises(KeepbusyError, match="2 files or frames have failed, and 1 are allowed"):
        run_batch(files, output, blob_model, errors_allowed=1)
    assert run_batch(files, output, blob_model, errors_allowed=2).num_failed == 1
    shutil.copy(archive / "clip1.mp4", files / "a.mp4")
    assert run_batch(files, output, blob_model).num_failed == 0


def test_a_video_that_kills_the_decoder_is_set_aside(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name in ("1-kills.mp4", "2-good.mp4", "3-good.mp4"):
        shutil.copy(archive / "clip0.mp4", files / name)
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and '1-kills' in str(arguments[0]) and 'keepbusy.batch' in ' '.join(sys.orig_argv):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "sys.addaudithook(watch)\n",
        encoding="utf-8",
    )
    paths = os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])])
    output = tmp_path / "out"
    done = run_program(files, "-o", output, "-m", blob_model, PYTHONPATH=paths)
    assert done.returncode == 1, done.stderr
    assert "1-kills.mp4: has ended two worker processes (signal 11 (SIGSEGV)" in done.stderr
    assert {name for name, _ in frames_of(rows_in(output))} == {str(files / "2-good.mp4"), str(files / "3-good.mp4")}
    progress = read_status(output).progress
    assert (progress.num_aside, progress.num_done, progress.num_waiting) == (1, 2, 0)
    assert run_batch(files, output, blob_model).num_aside == 1, "it is not tried again by itself"
    assert run_batch(files, output, blob_model, retry_aside=True).num_done == 3


def test_a_file_that_changes_while_it_is_read(blob_model: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", num_frames=400)
    output = tmp_path / "out"
    seen: list[int] = []

    def change(progress: kb.batch.Progress) -> None:
        if progress.num_frames > 0 and not seen:
            seen.append(progress.num_frames)
            os.utime(clip)

    done = run_batch(clip, output, blob_model, on_progress=change)
    assert done.num_done == 1 and done.num_frames == 400
    if seen and seen[0] < 400:  # Otherwise the machine was too slow to be in time.
        assert state_in(output).last_id in (1, 2)
    assert len(rows_in(output)["frames"]) == 400


def test_no_space_left(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    output = tmp_path / "out"
    state = read_manifest(output)
    assert state is None
    output.mkdir()
    manifest = Manifest.create(output, {"given": {}, "facts": {}})
    assert read_manifest(output) is None, "nothing is there before it is planned"
    manifest.publish()
    real = manifest._file
    with open("/dev/full", "r+b", buffering=0) as full:
        manifest._file = full
        with pytest.raises(SinkError, match="cannot be written: No space left on device"):
            manifest.plan([Unit(0, "video", (Entry("a", "a", 1, "1"),))])
        manifest._file = real
    manifest.close()
    assert read_manifest(output) == dataclasses.replace(state_in(output))
    (output / "detections").mkdir()
    (output / "frames").mkdir()
    (output / "frames" / ".000001-1.part").symlink_to("/dev/full")
    from keepbusy.batch.shards import ShardWriter

    writer = ShardWriter(output, "000001-1", 1)
    writer.discard()
    assert not os.path.lexists(output / "frames" / ".000001-1.part"), "a link there is not followed"


def test_a_folder_that_may_not_be_written(archive: Path, blob_model: Path) -> None:
    # Not even for root.
    with pytest.raises(SinkError, match="cannot be written"):
        again(archive, Path("/proc/found"), blob_model)


def test_an_interrupt_leaves_a_batch_that_goes_on(found: Path, archive: Path, blob_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def interrupt(progress: kb.batch.Progress) -> None:
        if progress.num_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(archive, output, blob_model, on_progress=interrupt)
    assert again(archive, output, blob_model).num_done == 4
    assert rows_in(output) == rows_in(found)


def test_two_worker_processes_find_the_same(found: Path, archive: Path, blob_model: Path, tmp_path: Path) -> None:
    done = again(archive, tmp_path / "out", blob_model, processes=2)
    assert done.num_done == 4 and rows_in(tmp_path / "out") == rows_in(found)


def test_bad_arguments(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    for words, options in (
        ("processes", {"processes": 0}),
        ("errors_allowed", {"errors_allowed": -1}),
        ("pictures", {"units": {"pictures": 3}}),
        ("loop", {"select": kb.SelectConfig(loop=True)}),
        ("unknown option: nonsense", {"nonsense": 1}),
        ("conf", {"conf": 2.0}),
        ("on_progress: NoneType is no function", {"on_progress": None}),
        ("classes: cannot be handed to worker processes", {"classes": lambda names: [0]}),
    ):
        with pytest.raises(ConfigError, match="UnitConfig" if words == "pictures" else words):
            run_batch(archive, tmp_path / "out", blob_model, **options)
    with pytest.raises(ConfigError, match="output"):
        run_batch(archive, "", blob_model)
    with pytest.raises(ConfigError, match="no source is given"):
        run_batch([], tmp_path / "out", blob_model)
    for sources in (None, 5, b"clips", "", [archive, ""], [archive, None]):
        with pytest.raises(ConfigError, match=r"sources: .* names no file"):
            run_batch(sources, tmp_path / "out", blob_model)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pictures"):
        UnitConfig(pictures=2001)
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_caller_s_own_is_passed_on(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    def fail(progress: kb.batch.Progress) -> None:
        raise OSError("no such web hook")

    with pytest.raises(OSError, match=r"^no such web hook$"):
        again(archive, tmp_path / "out", blob_model, on_progress=fail)
    assert not [one for one in threading.enumerate() if one.name.startswith("keepbusy-batch")]


def test_a_job_killed_before_its_plan_needs_its_sources(copy: Path, archive: Path, blob_model: Path) -> None:
    wanted = rows_in(copy)
    path = copy / "manifest.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(ConfigError, match="no source is given"):
        again([], copy, blob_model, processes=2)  # type: ignore[arg-type]
    again(archive, copy, blob_model, processes=2)
    assert rows_in(copy) == wanted


def test_the_model_is_refused_before_anything_is_made(archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_text("<net/>", encoding="utf-8")
    with pytest.raises(kb.ModelError):
        run_batch(archive, tmp_path / "out", bad)
    assert read_manifest(tmp_path / "out") is None
    with pytest.raises(ConfigError, match="no class"):
        run_batch(archive, tmp_path / "out2", _blob(tmp_path), classes=["zebra"])


def _blob(folder: Path) -> Path:
    from tests.build import build_blob_model

    return build_blob_model(folder / "blob.xml")


def test_pictures_of_many_sizes_do_not_depend_on_what_was_done_before(blob_model: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        size = (32 * (2 + number % 6), 32 * (1 + number % 5), 3)
        write_picture(files / f"{number}.png", rng.integers(0, 255, size, np.uint8))
    run_batch(files, tmp_path / "a", blob_model, units=UnitConfig(pictures=4))
    for number in (3, 0, 2, 1):
        part = [files / f"{one}.png" for one in range(4 * number, min(12, 4 * number + 4))]
        if part:
            run_batch(part, tmp_path / "b", blob_model, units=UnitConfig(pictures=4))
    assert rows_in(tmp_path / "a") == rows_in(tmp_path / "b")


def test_the_supervisor_needs_no_engine() -> None:
    import subprocess
    import sys

    code = (
        "import sys, keepbusy.batch, keepbusy.batch.supervisor\n"
        "print([name for name in ('openvino', 'av', 'pyarrow', 'duckdb') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert shown.strip() == "[]"


def test_a_batch_leaves_no_process_and_no_thread(archive: Path, blob_model: Path, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    again(archive, tmp_path / "out", blob_model)
    until_s = time.monotonic() + 10
    while psutil.Process().children() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert psutil.Process().children() == []
    assert not [one for one in threading.enumerate() if one.name.startswith("keepbusy-batch")]
