"""What a batch has found: SQL, exports, thumbnails, and the commands."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.batch.manifest import Manifest
from keepbusy.batch.progress import progress_of
from keepbusy.batch.rows import Rows
from keepbusy.batch.schema import TABLES
from keepbusy.batch.shards import ShardFile, ShardWriter
from keepbusy.batch.units import Entry, Unit
from keepbusy.cli.app import app
from keepbusy.cli.batch_progress import line_of, time_text
from keepbusy.errors import ConfigError, FrameError, KeepbusyError
from keepbusy.records import record
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.masks import Masks
from keepbusy.values.result import Result, Timings
from tests.build import square_picture, write_picture, write_video

NAMES = ("person", "bus")


def found_by_task(task: str) -> Detections:
    boxes = np.array([[1.25, 2, 11.5, 12], [2.617, 4.123, 33, 44]], np.float32)
    confidence, class_id = np.array([0.9, 0.2770034], np.float32), np.array([0, 1])
    more: dict[str, Any] = {}
    if task == "pose":
        more["keypoints"] = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 10
    elif task == "obb":
        more["boxes_xywhr"] = np.array([[5, 5, 4, 3, 0.5], [9, 9, 8, 7, 1.5]], np.float32)
    elif task == "segment":
        windows = (np.full((4, 4), 1, np.float32), np.full((4, 4), 1, np.float32))
        corners = np.zeros((2, 2), np.int32)
        more["masks"] = Masks(windows, corners, (16.0, 16.0), (0.0, 0.0), boxes, (64, 96))
    elif task == "track":
        more["track_id"] = np.array([7, 9])
    elif task == "classify":
        none = np.empty((0, 4), np.float32)
        share = np.array([0.2770034, 0.7229966], np.float32)
        return Detections(none, np.empty(0, np.float32), np.empty(0, np.int64), NAMES, probabilities=share)
    return Detections(boxes, confidence, class_id, NAMES, frame_hw=(64, 96), **more)


def results(task: str) -> list[Result]:
    """A frame with two detections, one with none, one that failed."""
    error = FrameError("damaged", stage="read", source="clip.mp4", frame_index=2, timestamp_s=0.2, shape_hw=(64, 96))
    nothing = Detections.empty(NAMES)
    frames = [Frame(np.zeros((64, 96, 3), np.uint8), index, index / 10, 0, "clip.mp4") for index in range(2)]
    failed = Frame(None, 2, 0.2, 0, "clip.mp4", (64, 96))
    return [
        Result(frames[0], found_by_task(task), Timings(1, 2_345_679)),
        Result(frames[1], nothing if task != "classify" else found_by_task(task), Timings()),
        Result(failed, nothing, Timings(), error),
    ]


@pytest.mark.parametrize("task", ["detect", "pose", "obb", "segment", "track", "classify"])
def test_results_of_every_task_come_back(task: str, tmp_path: Path) -> None:
    job = tmp_path / "job"
    for table in ("detections", "frames"):
        (job / table).mkdir(parents=True)
    manifest = Manifest.create(job, {"given": {}, "facts": {"names": NAMES}})
    manifest.publish()
    (work,) = manifest.plan([Unit(0, "video", (Entry("clip.mp4", "/clip.mp4", 1, "1"),))])
    writer, rows = ShardWriter(job, "000001-1", 1), Rows()
    for one in results(task):
        rows.add(one, "clip.mp4", one.frame.index)
    writer.write(rows.take())
    manifest.done(work.unit.id, "000001-1", writer.finish(), frames=3, detections=2, errors=1, seconds=1.0)
    manifest.close()
    assert [record(one) for one in kb.batch.results_of(job)] == [record(one) for one in results(task)]
    # What comes back can be drawn, and given to other libraries.
    picture = np.zeros((64, 96, 3), np.uint8)
    (first, *_), again = results(task), list(kb.batch.results_of(job))
    assert np.array_equal(first.detections.plot(picture), again[0].detections.plot(picture))
    if task == "segment":
        masks, known_masks = again[0].detections.masks, first.detections.masks
        assert masks is not None and known_masks is not None
        assert np.array_equal(masks.to_array(), known_masks.to_array())
        assert len(again[0].detections.where(conf=0.5)) == 1
    row = kb.batch.query(job, "SELECT read_ms, infer_ms FROM frames ORDER BY index LIMIT 1").to_pylist()
    assert row == [{"read_ms": 2.346, "infer_ms": None}]
    # The tables have what the records say, to the last digit.
    columns = "class_id, name, confidence, box_xyxy, track_id, box_xywhr, keypoints, segmentation"
    rows = kb.batch.query(job, f"SELECT {columns} FROM detections WHERE index = 0").to_pylist()
    known = [{key: value for key, value in row.items() if value is not None} for row in rows]
    assert known == record(results(task)[0])["detections"]
    shares = kb.batch.query(job, "SELECT probabilities FROM frames WHERE index = 0").to_pylist()
    assert shares == [{"probabilities": record(results(task)[0]).get("probabilities")}]
    kb.batch.export(job, coco=tmp_path / "coco.json", csv=tmp_path / "out.csv", yolo=tmp_path / "labels")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        lines_of_csv = list(csv.DictReader(file))
    lines = (tmp_path / "labels" / "clip_000000.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    if task == "classify":
        assert [(one["name"], one["probability"]) for one in lines_of_csv[:2]] == [
            ("bus", "0.723"),
            ("person", "0.277"),
        ]
        return
    content = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in content["categories"]] == list(NAMES)
    assert content["annotations"][0]["bbox"] == [1.25, 2.0, 10.25, 10.0]
    assert ("segmentation" in content["annotations"][0]) == (task == "segment")
    assert [one["name"] for one in lines_of_csv] == ["person", "bus"] and lines_of_csv[0]["right"] == "11.5"
    assert lines[0].startswith("0 ")


@pytest.fixture(scope="module")
def found(blob_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A batch of a clip and two pictures; the current folder is the one that it is in."""
    folder = tmp_path_factory.mktemp("query")
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_video(folder / "clip.mp4", num_frames=12)
        for number in range(2):
            write_picture(folder / f"{number}.png", square_picture(40 * number))
        kb.batch.run_batch(["clip.mp4", "0.png", "1.png"], "found", blob_model, conf=0.6)
        yield folder / "found"
    finally:
        os.chdir(before)


@pytest.mark.parametrize("name", kb.batch.QUESTIONS)
def test_every_question_has_an_answer(name: str, found: Path) -> None:
    answer = kb.batch.query(found, name)
    assert answer.num_columns > 1
    if name == "objects":
        (row,) = answer.to_pylist()
        counted = Counter(one.frame.source for one in kb.batch.results_of(found) for _ in range(len(one.detections)))
        assert row["name"] == "red" and row["detections"] == counted.total() and row["frames"] == 14


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nonsense FROM frames", "nonsense"),
        ("SELEC * FROM frames", "SELEC"),
        ("object", "no question is called object, did you mean objects"),
        ("Objects", "did you mean objects"),
        ("xyzzy", "no question is called xyzzy"),
        (" ", "is empty"),
        ("-- nothing", "is empty"),
        ("SELECT 1; SELECT 2", "has 2 statements"),
        ("DROP TABLE frames", "DROP is no question"),
        ("DELETE FROM frames", "DELETE is no question"),
        ("COPY frames TO 'out.csv'", "COPY is no question"),
        ("SET enable_external_access = true", "SET is no question"),
        ("SELECT error('boom')", "boom"),
        ("SELECT ?", "parameters"),
        ("SELECT cast(source AS int) FROM frames", "Conversion"),
        ("SELECT '\udcff' FROM nowhere", "nowhere"),
        ("SELECT * FROM of_this_program", "of_this_program"),
        ("SELECT * FROM read_csv('/etc/passwd')", "/etc/passwd"),
        ("SELECT * FROM read_text('manifest.jsonl')", "manifest.jsonl"),
    ],
)
def test_questions_that_cannot_be_answered(sql: str, words: str, found: Path) -> None:
    of_this_program = kb.batch.query(found, "SELECT 1 AS one")
    assert of_this_program.num_rows == 1
    with pytest.raises(ConfigError, match=words) as raised:
        kb.batch.query(found, sql)
    assert "\n" not in raised.value.message and raised.value.hint


def test_shards_that_the_manifest_does_not_name_do_not_count(found: Path) -> None:
    stray = found / "frames" / "000099-1.parquet"
    stray.write_bytes(next((found / "frames").iterdir()).read_bytes())
    try:
        assert kb.batch.query(found, "SELECT count(*) AS n FROM frames").to_pylist() == [{"n": 14}]
    finally:
        stray.unlink()


def test_a_batch_without_results_has_empty_tables(tmp_path: Path) -> None:
    for table in ("detections", "frames"):
        (tmp_path / table).mkdir()
    manifest = Manifest.create(tmp_path, {"given": {}, "facts": {"names": NAMES}})
    manifest.publish()
    manifest.close()
    assert kb.batch.query(tmp_path, "SELECT * FROM detections").num_rows == 0
    assert list(kb.batch.results_of(tmp_path)) == []


@pytest.mark.parametrize("table", ["detections", "frames"])
def test_a_damaged_shard_is_an_error_and_no_gap(table: str, found: Path, tmp_path: Path) -> None:
    """Also where a disk has lost a bit, which leaves length and time as they were."""
    copy = tmp_path / "copy"
    shutil.copytree(found, copy)
    shard = sorted((copy / table).iterdir())[0]
    content, times = bytearray(shard.read_bytes()), shard.stat()
    content[len(content) // 3] ^= 4
    shard.write_bytes(content)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    reads: list[Callable[[], object]] = [
        lambda: kb.batch.query(copy, "SELECT 1"),
        lambda: list(kb.batch.results_of(copy)),
        lambda: kb.batch.export(copy, csv=tmp_path / "out.csv"),
    ]
    for read in reads:
        with pytest.raises(KeepbusyError, match="is damaged or gone") as raised:
            read()
        assert "does it again" in str(raised.value.hint)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["st*r", "fo[1]und", "wh?t", "source=x", "it's", "a\\b"])
def test_a_folder_of_any_name(name: str, found: Path, tmp_path: Path) -> None:
    """A name that is a pattern matches no other folder, and none becomes a column."""
    for one in ("stXr", "fo1und", "what", name):
        shutil.copytree(found, tmp_path / one)
    answer = kb.batch.query(tmp_path / name, "SELECT DISTINCT source FROM frames ORDER BY source")
    assert answer.column("source").to_pylist() == ["0.png", "1.png", "clip.mp4"]


def test_no_two_columns_have_one_name(found: Path) -> None:
    sql = "SELECT source, source, index AS source_1, index FROM frames ORDER BY source LIMIT 1"
    assert kb.batch.query(found, sql).to_pylist() == [
        {"source": "0.png", "source_2": "0.png", "source_1": 0, "index": 0}
    ]
    code, out, _ = invoke("query", found, sql, "--csv")
    assert (code, out) == (0, "source,source_2,source_1,index\n0.png,0.png,0,0\n")
    code, out, _ = invoke("query", found, "SELECT * FROM frames f JOIN detections d USING (source, index)", "--json")
    assert code == 0 and {"timestamp_s", "timestamp_s_1"} <= set(json.loads(out)[0])


def test_every_answer_is_json_and_csv(found: Path) -> None:
    sql = (
        "SELECT 'nan'::double AS a, ['inf'::float, 1] AS b, sum(index) AS c, 1.5 AS d, 'ab\\xff'::blob AS e, "
        "DATE '2020-01-02' AS f, {'x': NULL, 'y': true} AS g, NULL AS h, true AS i, "
        "INTERVAL '1 month 2 days 3.5 seconds' AS j FROM frames"
    )
    code, out, _ = invoke("query", found, sql, "--json")
    row = json.loads(out, parse_constant=pytest.fail)[0]
    assert code == 0 and list(row.values()) == [
        None, [None, 1.0], 66, 1.5, "ab\\xff", "2020-01-02", {"x": None, "y": True}, None, True, "P1M2DT3.5S"
    ]  # fmt: skip
    code, out, _ = invoke("query", found, sql, "--csv")
    (cells,) = csv.DictReader(out.splitlines())
    assert list(cells.values()) == [
        "nan", "[null, 1.0]", "66", "1.5", "ab\\xff", "2020-01-02", '{"x": null, "y": true}', "", "true", "P1M2DT3.5S"
    ]  # fmt: skip


def test_names_are_whole_where_a_program_reads_the_table(found: Path) -> None:
    long = "long/" + 30 * "0123456789"
    code, out, _ = invoke("query", found, f"SELECT '{long}[bold]' AS source, 1 AS n")
    assert code == 0 and out.splitlines()[1].split() == [f"{long}[bold]", "1"]


def test_what_query_refuses(found: Path, tmp_path: Path) -> None:
    code, _, err = invoke("query", tmp_path)
    assert code == 1 and "has no batch in it" in err
    code, _, err = invoke("query", found, "objects", "--csv", "--json")
    assert code == 1 and "--csv and --json" in err


def test_an_export_needs_a_place(found: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is to be written"):
        kb.batch.export(found)
    with pytest.raises(ConfigError, match="no such folder"):
        kb.batch.export(tmp_path / "nowhere", csv=tmp_path / "out.csv")
    with pytest.raises(ConfigError, match="has no batch in it"):
        kb.batch.export(tmp_path, csv=tmp_path / "out.csv")


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    return done.exit_code, done.stdout, done.stderr if not done.exception else f"{done.stderr}{done.exception}"


def test_the_commands(found: Path, blob_model: Path, tmp_path: Path) -> None:
    code, out, _ = invoke("batch", "status", found)
    assert code == 0 and "14 frames of 3 files" in out and "found: done" in out
    code, out, _ = invoke("batch", "status", found, "--json", "--check")
    told = json.loads(out)
    assert code == 0 and told["progress"]["num_done"] == 2 and told["damaged"] == []
    code, out, _ = invoke("query", found, "objects", "--json")
    assert code == 0 and json.loads(out)[0]["name"] == "red"
    code, out, _ = invoke("query", found, "SELECT source, count(*) AS n FROM frames GROUP BY ALL ORDER BY ALL", "--csv")
    assert out.splitlines() == ["source,n", "0.png,1", "1.png,1", "clip.mp4,12"]
    code, out, _ = invoke("query", found)
    assert code == 0 and all(name in out for name in kb.batch.QUESTIONS)
    code, out, err = invoke("batch", "export", found, "--json", tmp_path / "out.jsonl")
    assert code == 0 and "14 frames written" in err
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 14
    code, _, err = invoke("batch", "clip.mp4", "0.png", "1.png", "-m", blob_model, "-o", found, "--conf", "0.6", "-q")
    assert (code, err) == (0, "")
    code, _, err = invoke("batch", "clip.mp4", "-m", blob_model)
    assert code == 1 and "--output: is missing" in err


def test_a_folder_that_is_called_as_a_command(found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "status").mkdir()
    _, _, err = invoke("batch", "status", "-o", "out")
    assert "status: is a file here, and a command behind batch" in err
    code, out, _ = invoke("batch", "status", found)
    assert code == 0 and "14 frames" in out


def test_how_far_a_job_is_and_when_it_will_be_done(tmp_path: Path) -> None:
    manifest = Manifest.create(tmp_path, {"given": {}, "facts": {}})
    manifest.publish()
    videos = [Unit(0, "video", (Entry(str(n), str(n), 1000 * (n + 1), "1"),)) for n in range(3)]
    pictures = Unit(0, "pictures", (Entry("p", "p", 10, "1"),), num_frames=1)
    works = manifest.plan([*videos, pictures])
    begin = progress_of(manifest.state)
    assert (begin.num_waiting, begin.num_expected, begin.is_least) == (4, 1, True)
    assert "of at least 1 frames" in line_of(begin)
    files = {table: ShardFile(0, "", 0) for table in TABLES}
    manifest.done(works[0].unit.id, "a", files, frames=100, detections=5, errors=2, seconds=1.0)
    progress = progress_of(manifest.state, under_way={works[1].unit.id: 50}, elapsed_s=10.0)
    assert (progress.num_frames, progress.num_expected, progress.is_least) == (150, 100 + 200 + 300 + 1, False)
    assert progress.throughput_fps == 15.0 and progress.left_s == pytest.approx(451 / 15)
    assert "about 30 s left" in line_of(progress) and progress.num_problems == 2
    assert progress_of(manifest.state, elapsed_s=3.0).left_s is None
    manifest.failed(works[1].unit.id, "is damaged")
    for _ in range(2):
        manifest.killed(works[2].unit.id, "signal 11")
    over = progress_of(manifest.state)
    assert (over.num_failed, over.num_aside, over.num_waiting) == (1, 1, 1)
    assert [one.reason for one in over.failures] == ["is damaged", "signal 11"]
    manifest.close()
    assert dataclasses.asdict(over)["notes"] == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (89, "89 s"), (100, "2 min"), (5300, "88 min"), (12_000, "3 h 20 min"), (200_000, "2 days 7 h")],
)
def test_times_are_told_as_exactly_as_they_are_known(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
