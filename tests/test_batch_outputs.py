"""What is written from a batch: exports and thumbnails, what they are called, and what they never write over."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.batch.manifest import Manifest, read_manifest
from keepbusy.batch.names import JobNames
from keepbusy.batch.results import Snapshot
from keepbusy.batch.units import Entry
from keepbusy.cli.app import app
from keepbusy.cli.option_names import with_options
from keepbusy.errors import ConfigError, KeepbusyError
from tests.batch_jobs import records_in
from tests.build import square_picture, write_picture, write_video

FRAMES = "SELECT source, index FROM frames WHERE index IN (0, 5) ORDER BY source, index"


@pytest.fixture(scope="module")
def made(blob_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a batch of the files of two cameras, and what `keepbusy detect` writes of the same files."""
    folder = tmp_path_factory.mktemp("outputs")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for camera in ("cam1", "cam2"):
            (folder / camera).mkdir()
            write_video(folder / camera / "clip.mp4", num_frames=8)
            write_picture(folder / camera / "a.png", square_picture(40))
        shutil.copy("cam2/clip.mp4", "cam2/clip.mkv")
        kb.batch.run_batch(["cam1", "cam2"], "found", blob_model, conf=0.6)
        kb.detect_to(blob_model, ["cam1", "cam2"], ["labels:detected/", "detected.jsonl"], conf=0.6)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def town(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change; its manifest names the copy's files. It is the current folder."""
    copy = tmp_path / "town"
    shutil.copytree(made, copy)
    manifest = copy / "found" / "manifest.jsonl"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(str(made), str(copy)), encoding="utf-8")
    monkeypatch.chdir(copy)
    return copy


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    return done.exit_code, done.stdout, done.stderr if not done.exception else f"{done.stderr}{done.exception}"


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_labels_are_called_as_those_of_detect(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the current folder is."""
    monkeypatch.chdir("/")
    kb.batch.export(town / "found", yolo=town / "labels")
    labels, detected = files_in(town / "labels"), files_in(town / "detected")
    assert labels == detected and "cam2/a.txt" in labels and "cam2/clip_000007.txt" in labels


def test_records_are_those_of_detect(town: Path) -> None:
    kb.batch.export("found", json="found.jsonl")
    assert "source_id" not in Path("found.jsonl").read_text(encoding="utf-8")

    def ordered(path: str) -> list[dict[str, object]]:
        return sorted(records_in(Path(path)), key=lambda one: (one["source"], one["index"]))

    assert ordered("found.jsonl") == ordered("detected.jsonl")


def test_images_of_coco_are_called_as_labels_are(town: Path) -> None:
    kb.batch.export("found", coco="coco.json")
    images = json.loads(Path("coco.json").read_text(encoding="utf-8"))["images"]
    by_name = {one["file_name"]: one for one in images}
    assert len(by_name) == len(images) == 26
    assert (by_name["cam2/a.png"]["source"], by_name["cam2/a.png"]["index"]) == ("cam2/a.png", 0)
    stems = {name.rpartition(".")[0] for name in by_name}
    assert stems == {name.rpartition(".")[0] for name in files_in(town / "detected") if name.endswith(".txt")}


def entry(name: str, location: str = "") -> Entry:
    return Entry(name, location or name, 1, "1")


def test_names_of_files_in_stores() -> None:
    names = JobNames(
        [
            entry("s3://key:***@bucket/clips/b/x.mp4", "s3://key:secret@bucket/clips/b/x.mp4"),
            entry("s3://bucket/clips/a/x.mp4"),
            entry("file:///videos/one.mp4"),
            entry("./two.mp4", "/videos/two.mp4"),
            entry("two.avi", "/videos/two.avi"),
            entry("memory://one.mp4"),
            entry("https://host/a/../b/c.jpg?sig=1/2"),
            entry("zip://day/1.mp4::file:///videos/x.zip"),
            entry("zip://day/2.mp4::file:///videos/x.zip"),
            entry("zip://night/2.mp4::https://me:***@host/y.zip?sig=1/2"),
        ]
    )
    assert names.stem("s3://bucket/clips/a/x.mp4") == "a/x"
    assert names.stem("s3://key:***@bucket/clips/b/x.mp4") == "b/x"
    assert names.stem("file:///videos/one.mp4") == "one" and names.stem("memory://one.mp4") == "one-2"
    assert names.stem("https://host/a/../b/c.jpg?sig=1/2") == "c"
    archived = [names.stem(one) for one in map(str, names._places) if one.startswith("zip")]
    assert archived == ["videos/x.zip/day/1", "videos/x.zip/day/2", "host/y.zip/night/2"]
    assert (names.stem("two.avi"), names.stem("./two.mp4")) == ("two", "two-2")


def test_names_of_pictures() -> None:
    """They are the files' own, and no other picture's or frame's."""
    files = ["/c/a.jpg", "/c/a.png", "/c/street.mp4", "/c/street_000012.jpg", "/c/b/x.jpg", "s3://bucket/a.jpg"]
    names = JobNames(map(entry, files))
    assert [names.stem(one) for one in files] == ["a", "a-2", "street", "street_000012-2", "b/x", "a-3"]
    pictures = {one: names.picture(one) for one in files if not one.endswith("mp4")}
    assert list(pictures.values()) == ["a.jpg", "a.png", "street_000012-2.jpg", "b/x.jpg", "a-3.jpg"]


def test_one_export_sees_one_moment(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that become done while it goes on are in none of its parts."""
    state = read_manifest(Path("found"))
    assert state is not None
    last = max(work.unit.id for work in state.work.values())
    lines = Path("found/manifest.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (later,) = [one for one in lines if json.loads(one)["what"] == "done" and json.loads(one)["unit"] == last]
    Path("found/manifest.jsonl").write_text("".join(one for one in lines if one != later), encoding="utf-8")
    results = Snapshot.results

    def and_goes_on(batch: Snapshot) -> Iterator[kb.Result]:
        yield from results(batch)
        Path("found/manifest.jsonl").write_text("".join(lines), encoding="utf-8")

    monkeypatch.setattr(Snapshot, "results", and_goes_on)
    num_frames = kb.batch.export("found", coco="coco.json", csv="found.csv", json="found.jsonl", yolo="labels")
    content = json.loads(Path("coco.json").read_text(encoding="utf-8"))
    places = [place for place in files_in(Path("labels")) if place.endswith(".txt")]
    assert 0 < num_frames < 26 and num_frames == len(content["images"]) == len(records_in(Path("found.jsonl")))
    assert len(places) == num_frames
    num_rows = len(Path("found.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert num_rows == len(content["annotations"])
    assert {one["image_id"] for one in content["annotations"]} <= {one["id"] for one in content["images"]}


FORBIDDEN = {
    "manifest": {"csv": "found/manifest.jsonl"},
    "shard": {"json": "found/detections/000001-1.parquet"},
    "new file in the job": {"coco": "found/coco.json"},
    "new folder in the job": {"yolo": "found/labels"},
    "the job": {"yolo": "found"},
    "link into the job": {"csv": "link/new.csv"},
    "another job": {"csv": "other/manifest.jsonl"},
    "new folder in another job": {"yolo": "other/a/b"},
    "linked shards": {"csv": "elsewhere/000001-1.parquet"},
    "video": {"csv": "cam1/clip.mp4"},
    "link to a picture": {"json": "picture.csv"},
    "model": {"coco": "{model}"},
    "one file": {"csv": "x", "json": "./x"},
    "three": {"coco": "x", "csv": "link/../x", "json": "y"},
    "label": {"csv": "labels/cam1/a.txt", "yolo": "labels"},
    "standard output": {"csv": "-", "json": "/dev/stdout"},
    "folder": {"csv": "x/"},
    "folder that is there": {"csv": "cam1"},
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_an_export_writes_over_nothing(name: str, town: Path, blob_model: Path) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copy(blob_model.with_suffix(suffix), town)
    shutil.copytree("found", "other")
    shutil.move("found/detections", "elsewhere")
    Path("found/detections").symlink_to("../elsewhere")
    Path("link").symlink_to("found")
    Path("picture.csv").symlink_to("cam1/a.png")
    before = files_in(town)
    places = {option: place.format(model=blob_model.name) for option, place in FORBIDDEN[name].items()}
    with pytest.raises(KeepbusyError) as raised:
        kb.batch.export("found", **places)  # type: ignore[arg-type]
    assert raised.value.hint and files_in(town) == before
    assert "`" not in with_options(raised.value.message)


def test_labels_of_somebody_else_are_not_written_over(town: Path) -> None:
    (town / "cam1" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(KeepbusyError, match="which keepbusy did not write") as raised:
        kb.batch.export("found", yolo="cam1", csv="found.csv")
    assert "--exist-ok" in with_options(str(raised.value.hint)) and raised.value.message.startswith("`yolo`: ")
    assert (town / "cam1" / "mine.txt").read_text(encoding="utf-8") == "mine" and not Path("found.csv").exists()


def test_a_folder_that_is_missing_is_made(town: Path) -> None:
    kb.batch.export("found", csv="new/deep/found.csv")
    assert Path("new/deep/found.csv").exists()


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
def test_exports_to_standard_output(place: str, town: Path) -> None:
    kb.batch.export("found", csv="found.csv", json="found.jsonl", coco="coco.json")
    for option, file in (("--csv", "found.csv"), ("--json", "found.jsonl"), ("--coco", "coco.json")):
        code, out, err = invoke("batch", "export", "found", option, place)
        assert code == 0 and out == Path(file).read_text(encoding="utf-8") and "26 frames" in err
    assert not Path("-").exists()


def test_exports_to_a_stream_of_somebody(town: Path) -> None:
    kb.batch.export("found", json="found.jsonl")
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        kb.batch.export("found", json="-")
    assert stream.getvalue() == Path("found.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [5, b"x", "", "a\0b", ["x"]])
def test_what_is_no_path(value: Any, town: Path) -> None:
    answer = kb.batch.query("found", FRAMES)
    calls: list[Callable[[], object]] = [
        *(partial(kb.batch.export, "found", **{option: value}) for option in ("coco", "csv", "json", "yolo")),
        partial(kb.batch.export, value, csv="x.csv"),
        partial(kb.batch.query, value, "objects"),
        partial(kb.batch.write_thumbnails, "found", answer, value),
        partial(kb.batch.write_thumbnails, value, answer, "shown"),
        lambda: list(kb.batch.results_of(value)),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="is no path"):
            call()
    sql: Any = value if value == 5 else b"SELECT 1"
    others: list[Callable[[], object]] = [
        partial(kb.batch.query, "found", sql),
        partial(kb.batch.write_thumbnails, "found", value, "shown"),
        partial(kb.batch.write_thumbnails, "found", answer, "shown", limit=-1),
    ]
    for call in others:
        with pytest.raises(ConfigError):
            call()
    assert not Path("x.csv").exists() and not Path("shown").exists()


def test_what_export_refuses(town: Path) -> None:
    code, _, err = invoke("batch", "export", "found", "--csv", "x.csv", "--save-conf")
    assert code == 1 and "--save-conf: no labels are written" in err and not Path("x.csv").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_pipes_and_devices_are_written_into(town: Path) -> None:
    kb.batch.export("found", csv="found.csv")
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    kb.batch.export("found", csv="pipe")
    reader.join()
    assert read == [Path("found.csv").read_bytes()] and Path("pipe").is_fifo()
    Path("nothing").symlink_to(os.devnull)
    for place in ("nothing", os.devnull):
        kb.batch.export("found", csv=place)
    assert Path("nothing").is_symlink() and not Path(os.devnull).is_file()


def test_thumbnails(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = kb.batch.query("found", FRAMES)
    monkeypatch.chdir("/")
    done = kb.batch.write_thumbnails(town / "found", answer, town / "shown")
    assert done == kb.batch.Thumbnails(num_written=8, num_left_out=0, num_beyond=0, reasons={})
    assert sorted(files_in(town / "shown")) == [
        *("cam1/a.jpg", "cam1/clip_000000.jpg", "cam1/clip_000005.jpg", "cam2/a.jpg"),
        *("cam2/clip-2_000000.jpg", "cam2/clip-2_000005.jpg", "cam2/clip_000000.jpg", "cam2/clip_000005.jpg"),
    ]
    picture = cv2.imread(str(town / "shown" / "cam1" / "clip_000005.jpg"))
    assert picture is not None and picture.shape == (64, 96, 3)


def test_thumbnails_have_a_limit_which_is_told(town: Path) -> None:
    answer = kb.batch.query("found", FRAMES)
    done = kb.batch.write_thumbnails("found", answer, "shown", limit=3)
    assert (done.num_written, done.num_left_out, done.num_beyond) == (3, 0, 5)
    # A frame with many detections is one.
    twice = "SELECT source, index FROM detections WHERE source = 'cam1/clip.mp4' UNION ALL SELECT 'cam1/clip.mp4', 0"
    done = kb.batch.write_thumbnails("found", kb.batch.query("found", twice), "others")
    assert done.num_written == 8 and done.num_beyond == 0


def test_thumbnails_of_files_that_are_not_what_they_were(town: Path) -> None:
    os.utime("cam1/clip.mp4", (1, 1))
    os.utime("cam1/a.png", (1, 1))
    Path("cam2/clip.mkv").unlink()
    done = kb.batch.write_thumbnails("found", kb.batch.query("found", FRAMES), "shown")
    assert sorted(files_in(Path("shown"))) == ["cam2/a.jpg", "cam2/clip-2_000000.jpg", "cam2/clip-2_000005.jpg"]
    assert (done.num_written, done.num_left_out) == (3, 5)
    assert sorted(done.reasons) == ["cam1/a.png", "cam1/clip.mp4", "cam2/clip.mkv"]
    assert "has changed since" in done.reasons["cam1/clip.mp4"] and "has changed since" in done.reasons["cam1/a.png"]
    code, _, err = invoke("query", "found", FRAMES, "--thumbnails", "shown")
    assert code == 1 and "3 pictures in shown, 5 left out" in err and "cam1/a.png: has changed since" in err
    Path("cam2/a.png").unlink()
    code, _, err = invoke("query", "found", "SELECT source, index FROM frames WHERE index = 0", "--thumbnails", "x")
    assert code == 1 and "1 picture in x, 4 left out" in err and "no picture: cam2/a.png" in err


def test_thumbnails_are_read_as_the_batch_was(town: Path) -> None:
    manifest = Path("found/manifest.jsonl")
    first, rest = manifest.read_text(encoding="utf-8").split("\n", 1)
    job = json.loads(first)
    job["settings"]["given"]["options"]["max_pixels"] = 100
    manifest.write_text(f"{json.dumps(job, separators=(',', ':'))}\n{rest}", encoding="utf-8")
    done = kb.batch.write_thumbnails("found", kb.batch.query("found", FRAMES), "shown")
    assert done.num_written == 0 and all("pixels" in reason for reason in done.reasons.values())


@pytest.mark.parametrize(
    ("sql", "num_left_out"),
    [
        ("SELECT 'nowhere.mp4' AS source, 0 AS index", 1),
        ("SELECT 'cam1/clip.mp4' AS source, unnest([0, 99, -1]) AS index", 2),
        ("SELECT 'cam1/clip.mp4' AS source, unnest([0, NULL, 0]) AS index", 0),
        ("SELECT 'cam1/clip.mp4' AS source, sum(0) AS index", 0),
        ("SELECT 'cam1/clip.mp4' AS source, 0::double AS index, 1 AS source", 0),
    ],
)
def test_answers_that_name_frames(sql: str, num_left_out: int, town: Path) -> None:
    done = kb.batch.write_thumbnails("found", kb.batch.query("found", sql), "shown")
    assert (done.num_written, done.num_left_out) == (0 if "nowhere" in sql else 1, num_left_out)
    assert all("has no frame" in reason for reason in done.reasons.values()) and len(done.reasons) == bool(num_left_out)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("source", "names no frames"),
        ("source, 'a' AS index", "`index` has 'a'"),
        ("source, [1] AS index", "`index` has"),
        ("source, 0.5 AS index", "`index` has"),
        ("source, true AS index", "`index` has True"),
        ("[source] AS source, index", "`source` has"),
        ("1 AS source, index", "`source` has 1"),
    ],
)
def test_answers_that_name_no_frames(columns: str, words: str, town: Path) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        kb.batch.write_thumbnails("found", kb.batch.query("found", f"SELECT {columns} FROM frames"), "none")
    assert raised.value.hint and not Path("none").exists()


@pytest.mark.parametrize("folder", ["found", "found/shown", "."])
def test_thumbnails_write_over_nothing(folder: str, town: Path) -> None:
    write_picture(town / "cam1" / "a.jpg", square_picture(0))
    state = read_manifest(Path("found"))
    assert state is not None
    manifest = Manifest(Path("found"), state)
    (work,) = [one for one in state.work.values() if one.unit.files[0].name == "cam1/a.png"]
    manifest.note("a.jpg", "is an input below")
    manifest.close()
    text = Path("found/manifest.jsonl").read_text(encoding="utf-8")
    Path("found/manifest.jsonl").write_text(text.replace("cam1/a.png", "cam1/a.jpg"), encoding="utf-8")
    before = files_in(town)
    with pytest.raises(ConfigError):
        kb.batch.write_thumbnails("found", kb.batch.query("found", FRAMES), folder)
    assert files_in(town) == before and work.unit.kind == "pictures"
