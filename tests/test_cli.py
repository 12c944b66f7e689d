"""The program itself, started as a user starts it: outputs, exit codes, and one clear line for each bad input."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.cli.commands import COMMANDS, module_of
from keepbusy.cli.devices import missing_drivers
from keepbusy.cli.option_names import with_option, with_options
from keepbusy.config import ClassConf, DetectConfig
from keepbusy.errors import ConfigError
from tests import graphs
from tests.build import (
    BLOB_NAMES,
    build_blob_model,
    count_playable,
    read_video,
    square_picture,
    write_picture,
    write_video,
)
from tests.head_graphs import Kind, head_model
from tests.starter import run_program
from tests.test_heads import EXACT, pictures, same

KEEPBUSY = [sys.executable, "-m", "keepbusy"]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return run_program(*arguments, **options)  # type: ignore[arg-type]


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def assert_one_clear_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """An `error:` line with the words, one `hint:` line, the exit code, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in errors[0], done.stderr
    assert len([line for line in lines if line.startswith("hint:")]) == 1, done.stderr


def test_an_error_names_options_in_python_and_flags_in_the_program(blob_model: Path) -> None:
    with pytest.raises(ConfigError, match="fixed input of 64x96") as caught, kb.Pipeline(blob_model, imgsz=(64, 64)):
        pass
    assert caught.value.hint is not None and "leave `imgsz` and `shape` out" in caught.value.hint
    done = run("detect", "synth:street?frames=1", "-m", blob_model, "-q", "--imgsz", "64x64")
    assert done.returncode == 2 and "`" not in done.stderr
    assert "leave --imgsz and --shape out" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("raise `conf`, or `max_pixels` 9", "raise --conf, or --max-pixels 9"),
        ("with `multi_label=False`", "with --single-label"),
        ("`ignore_missing`, `names=` FILE, `images=`", "--ignore-missing-classes, --names FILE, --images"),
        ("`device_timeout_s`", "--device-timeout"),
        ("the keys `names`, `images` and `val: FOLDER`", "the keys `names`, `images` and `val: FOLDER`"),
        ("`keepbusy devices` lists them", "`keepbusy devices` lists them"),
        ("before `end`, `channel_frames`", "before `end`, `channel_frames`"),
    ],
)
def test_only_options_in_backticks_are_shown_as_flags(text: str, shown: str) -> None:
    assert with_options(text) == shown


def test_only_an_option_that_an_error_begins_with_is_shown_as_a_flag() -> None:
    assert with_option("device_timeout_s: 0 is not ...") == "--device-timeout: 0 is not ..."
    for message in ("images: none of its classes", "data: has no split", "the conf: 2"):
        assert with_option(message) == message


def test_help_and_version_teach() -> None:
    assert "detect" in run("--help").stdout and "devices" in run("--help").stdout
    text = run("detect", "--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for flag in ("--model", "--save", "--json", "--nireq", "--hint", "--on-error", "--classes", "keepbusy detect"):
        assert flag in text
    assert run("--version").stdout.startswith("keepbusy ")


def test_every_output_of_one_video(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    done = run(
        *("detect", clip, "-m", blob_model, "--save", tmp_path / "out.mp4", "--json", tmp_path / "out.jsonl"),
        *("--save-txt", tmp_path / "labels"),
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = records((tmp_path / "out.jsonl").read_text())
    assert [line["index"] for line in lines] == list(range(40))
    assert all(line["detections"][0]["name"] == "red" for line in lines)  # type: ignore[index]
    assert len(read_video(tmp_path / "out.mp4")) == 40
    assert len(list((tmp_path / "labels").glob("*.txt"))) == 40
    for words in ("40 frames", "frames/s", "p50", "p99", "device busy", "waiting for input", "sink"):
        assert words in done.stderr
    assert "Throughput" not in done.stderr


def test_data_on_standard_output_only_and_quiet_is_quiet(blob_model: Path, clip: Path) -> None:
    done = run("detect", clip, "-m", blob_model, "--json", "-", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(records(done.stdout)) == 40


def test_sync_and_async_write_the_same_records(blob_model: Path, clip: Path) -> None:
    texts = {
        run("detect", clip, "-m", blob_model, "--json", "-", "-q", *options).stdout
        for options in ([], ["--mode", "sync"], ["--nireq", "2"], ["--nireq", "7", "--nstreams", "1"])
    }
    assert len(texts) == 1 and texts.pop()


def test_pictures_into_a_folder(tmp_path: Path, blob_model: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        write_picture(tmp_path / "in" / f"{number}.png", square_picture(8 * number))
    done = run("detect", tmp_path / "in", "-m", blob_model, "--save", tmp_path / "out", "-q")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    done = run("detect", tmp_path / "in" / "0.png", "-m", blob_model, "--save", tmp_path / "one.jpg", "-q")
    assert done.returncode == 0 and (tmp_path / "one.jpg").stat().st_size > 0


def test_limit_stride_classes_and_names(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    (tmp_path / "names.txt").write_text("rosso\nverde\nblu\n")
    common = ("detect", clip, "-m", blob_model, "--json", "-", "-q", "--stride", "10", "--limit", "3")
    lines = records(run(*common, "--names", tmp_path / "names.txt", "--classes", "rosso").stdout)
    assert [line["index"] for line in lines] == [0, 10, 20]
    assert {item["name"] for line in lines for item in line["detections"]} == {"rosso"}  # type: ignore[attr-defined]
    assert all(not line["detections"] for line in records(run(*common, "--classes", "1,2").stdout))


# Class, confidence and left edge of boxes of 16x16: red and green lie on one another, the others apart.
FOUND = (("red", 0.6, 0), ("green", 0.5, 1), ("blue", 0.2, 30), ("green", 0.22, 50), ("red", 0.3, 70))


@pytest.fixture(scope="module")
def certain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that finds the same in every picture."""
    image, zero = graphs.image_input((64, 96))
    rows = np.zeros((1, 378, 8), np.float32)
    for place, (name, confidence, left) in enumerate(FOUND):
        rows[0, place, :5] = (left + 8, 32, 16, 16, confidence)
        rows[0, place, 5 + BLOB_NAMES.index(name)] = 1
    path = tmp_path_factory.mktemp("certain") / "m.xml"
    return graphs.save(path, image, [graphs.constant(rows, zero)], labels=" ".join(BLOB_NAMES))


@pytest.mark.parametrize(
    ("conf", "by_class", "agnostic", "kept"),
    [
        (0.25, {}, False, (0, 1, 4)),
        (0.25, {}, True, (0, 4)),
        (0.25, {"red": 0.4}, False, (0, 1)),
        # What is below its own threshold suppresses nothing.
        (0.25, {"red": 0.7}, True, (1,)),
        # A threshold may be lower than that of the others.
        (0.55, {"green": 0.21}, False, (0, 1, 3)),
        (0.9, {"green": 0.1, "blue": 0.1, "red": 0.65}, False, (1, 3, 2)),
        (0.1, {"green": 1.0, "red": 1.0}, False, (2,)),
    ],
)
def test_thresholds_by_class(
    certain_model: Path, conf: float, by_class: dict[str, float], agnostic: bool, kept: tuple[int, ...]
) -> None:
    by_id = {BLOB_NAMES.index(name): one for name, one in by_class.items()}
    wanted = [(name, confidence) for name, confidence, _ in (FOUND[index] for index in kept)]
    detector = kb.Detector(certain_model, conf=conf, class_conf=by_id, agnostic_nms=agnostic, precision="f32")
    found = detector(square_picture())
    assert [(found.name(index), round(float(found.confidence[index]), 5)) for index in range(len(found))] == wanted


def test_thresholds_by_class_on_the_command_line(tmp_path: Path, certain_model: Path) -> None:
    picture = write_picture(tmp_path / "a.png", square_picture())
    common = ("detect", picture, "-m", certain_model, "--json", "-", "-q", "--precision", "f32")
    for words in (("green=0.21", "0=0.4"), ("1 = 0.21", "red=0.4")):
        options = [part for word in words for part in ("--class-conf", word)]
        found = records(run(*common, *options).stdout)[0]["detections"]
        assert [(one["name"], one["confidence"]) for one in found] == [("red", 0.6), ("green", 0.5), ("green", 0.22)]  # type: ignore[attr-defined]
    (tmp_path / "names.txt").write_text("a=b\nb\nc\n")
    done = run(*common, "--names", tmp_path / "names.txt", "--class-conf", "a=b=0.9", "--conf", "0.4")
    assert [one["name"] for one in records(done.stdout)[0]["detections"]] == ["b"]  # type: ignore[attr-defined]


def test_class_thresholds_survive_copies_and_are_checked() -> None:
    thresholds = {2: 0.1, 0: 0.5}
    config = DetectConfig(conf=0.3, class_conf=thresholds)
    thresholds[1] = 0.0
    for one in (config, dataclasses.replace(config, classes=(0,))):
        assert one.conf == 0.1 and one.class_conf == ClassConf(((0, 0.5), (2, 0.1)), 0.3)
    for wrong, words in (({0: 1.5}, "class_conf of class 0"), ({-1: 0.5}, "class_conf: -1"), ({"red": 0.5}, "'red'")):
        with pytest.raises(ConfigError, match=words):
            DetectConfig(class_conf=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["yolov5", "yolov8", "yolov8-seg", "yolov8-pose"])
def test_every_head_has_the_same_thresholds_by_class(kind: Kind, tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", kind)
    options: Any = {**EXACT, "conf": 0.6, "class_conf": {0: 0.8, 1: 0.3}}
    stock, *others = (kb.Detector(path, head=head, shape="square", **options) for head in ("stock", "tail", "host"))
    found_of: set[int] = set()
    for picture in pictures():
        expected = stock(picture)
        for other in others:
            same(expected, other(picture))
        for class_id, confidence in zip(expected.class_id.tolist(), expected.confidence.tolist(), strict=True):
            assert confidence > {0: 0.8, 1: 0.3}.get(class_id, 0.6)
            found_of.add(class_id)
    assert len(found_of) > 1


def test_devices() -> None:
    done = run("devices", env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0 and "CPU" in done.stdout and "FP32" in done.stdout
    listed = json.loads(run("devices", "--json").stdout)
    assert [device["device"] for device in listed if device["device"] == "CPU"] == ["CPU"]
    assert all(device["full_name"] and device["capabilities"] for device in listed)


def test_devices_says_what_to_install(tmp_path: Path) -> None:
    assert ["none seen" in line for line in missing_drivers(["CPU"], tmp_path)] == [True, True]
    for kind in ("drm/card0", "accel/accel0"):
        (tmp_path / kind / "device").mkdir(parents=True)
        (tmp_path / kind / "device" / "vendor").write_text("0x8086\n")
    lines = missing_drivers(["CPU"], tmp_path)
    assert "intel-opencl-icd" in lines[0] and "is present" in lines[0]
    assert "intel-level-zero-npu" in lines[1] and "is present" in lines[1]
    assert missing_drivers(["CPU", "GPU.0", "GPU.1", "NPU"], tmp_path) == []


# Bad input ------------------------------------------------------------------------------------------------------


def test_bad_usage(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    good = ("detect", clip, "-m", blob_model)
    assert run("detect", clip, "--model").returncode == 2
    assert run("nonsense").returncode == 2
    assert run(*good, "--conf", "7").returncode == 2
    assert_one_clear_line(run(*good, "--mode", "fast"), 2, "mode: 'fast'")
    assert_one_clear_line(run(*good, "--nireq", "none"), 2, "--nireq: 'none'")
    assert_one_clear_line(run(*good, "--nireq", "2", "--mode", "sync"), 2, "mode sync has one request")
    assert_one_clear_line(run(*good, "--imgsz", "wide"), 2, "--imgsz: 'wide'")
    assert_one_clear_line(run(*good, "--imgsz", "640"), 2, "fixed input of 64x96")
    assert_one_clear_line(run(*good, "--classes", "cow"), 2, "no class 'cow'")
    assert_one_clear_line(run(*good, "--class-conf", "red=7"), 2, "--class-conf: 'red=7': a threshold goes from 0")
    for words, name in ((("--class-conf", "Red=0.5"), "red"), (("--classes", "gren"), "green")):
        done = run(*good, *words)
        assert_one_clear_line(done, 2, "no class")
        assert f"did you mean {name}?" in done.stderr
    assert_one_clear_line(run(*good, "--classes", ""), 2, "--classes: is empty")
    assert_one_clear_line(run(*good, "--region", "0,0 500,1"), 2, "are these pixels?")
    assert_one_clear_line(run(*good, "--class-conf", "red"), 2, "--class-conf: 'red'")
    done = run(*good, "--class-conf", "red=0.5", "--class-conf", "cow=0.5")
    assert_one_clear_line(done, 2, "no class 'cow'")
    assert "red, green, blue" in done.stderr
    assert_one_clear_line(run(*good, "--names", tmp_path / "gone.txt"), 2, "cannot read")
    assert_one_clear_line(run(*good, "--save", tmp_path / "out.doc"), 2, "unknown kind of file .doc")
    assert_one_clear_line(run(*good, "--save", tmp_path / "out.png"), 2, "one picture for a source of many")
    assert_one_clear_line(
        run("detect", clip, clip, "-m", blob_model, "--save", tmp_path / "out.mp4"), 2, "one file for 2 sources"
    )


def test_bad_sources(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:500])
    (tmp_path / "folder").mkdir()
    for source, words in (
        ("gone.mp4", "gone.mp4: no such file"),
        (tmp_path / "empty.mp4", "empty.mp4: cannot be opened as a video"),
        (tmp_path / "cut.mp4", "cut.mp4: cannot be opened as a video"),
        (tmp_path / "folder", "has no pictures or videos"),
        ("63", "camera 63"),
        ("http://127.0.0.1:9/none", "cannot be opened as a video"),
    ):
        assert_one_clear_line(run("detect", source, "-m", blob_model), 1, words)


def test_bad_models(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    cut = tmp_path / "cut.xml"
    cut.write_bytes(blob_model.read_bytes()[:2000])
    cut.with_suffix(".bin").write_bytes(blob_model.with_suffix(".bin").read_bytes())
    assert_one_clear_line(run("detect", clip, "-m", cut), 1, "cut.xml: cannot be read as a model")
    assert_one_clear_line(run("detect", clip, "-m", "gone.xml"), 1, "gone.xml: no such model file")
    assert_one_clear_line(run("detect", clip, "-m", clip), 1, "not a model file")
    assert_one_clear_line(run("detect", clip, "-m", blob_model, "-d", "GPU.9"), 1, "there is no GPU.9")


def test_a_bad_picture_stops_the_run_behind_the_good_ones(tmp_path: Path, blob_model: Path) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    (tmp_path / "b.jpg").write_bytes(b"")
    write_picture(tmp_path / "c.png", square_picture())
    out = tmp_path / "out.jsonl"
    done = run("detect", tmp_path, "-m", blob_model, "--json", out)
    assert_one_clear_line(done, 1, "read:", "b.jpg: frame 1", "the file is empty")
    assert [Path(str(line["source"])).name for line in records(out.read_text())] == ["a.png"]


def test_with_skip_a_bad_picture_is_one_record_in_its_place(tmp_path: Path, blob_model: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = write_picture(folder / "a.png", square_picture()).read_bytes()
    (folder / "b.jpg").write_bytes(b"")
    (folder / "c.png").write_bytes(good[: len(good) // 2])
    write_picture(folder / "d.png", np.zeros((1, 1, 3), np.uint8))
    write_picture(folder / "e.png", np.zeros((10, 20000, 3), np.uint8))
    write_picture(folder / "f.png", np.full((40, 40), 70, np.uint8))
    write_picture(folder / "g.png", np.full((40, 40), 7000, np.uint16))
    write_picture(folder / "h.png", np.dstack([square_picture(), np.full((64, 96), 9, np.uint8)]))
    done = run(
        *("detect", folder, "-m", blob_model, "--json", "-", "--on-error", "skip"),
        *("--save", tmp_path / "out", "--save-txt", tmp_path / "labels"),
    )
    assert done.returncode == 0, done.stderr
    lines = records(done.stdout)
    assert [Path(str(line["source"])).stem for line in lines] == list("abcdefgh")
    assert ["error" in line for line in lines] == [False, True, True, False, False, False, False, False]
    assert (lines[3]["width"], lines[4]["width"]) == (1, 20000)
    assert lines[7]["detections"][0]["name"] == "red"  # type: ignore[index]
    assert "2 frames failed" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 6 and len(list((tmp_path / "labels").glob("*.txt"))) == 6


def test_a_source_that_ends_at_once(tmp_path: Path, blob_model: Path) -> None:
    import av

    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()
    done = run("detect", path, "-m", blob_model, "--json", "-")
    assert done.stdout == ""
    assert_one_clear_line(done, 1, "none.mkv")


def test_an_output_that_cannot_be_written(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = tmp_path / "file" / "x"
    for flags in (("--json", blocked / "a.jsonl"), ("--save", blocked / "a.mp4"), ("--save-txt", blocked)):
        assert_one_clear_line(run("detect", clip, "-m", blob_model, *flags), 1, "cannot be made")
    assert_one_clear_line(
        run("detect", clip, "-m", blob_model, "--json", "/dev/full"), 1, "/dev/full: cannot be written"
    )


def test_a_disk_that_fills_up_keeps_what_was_written(tmp_path: Path, blob_model: Path) -> None:
    clip = write_video(tmp_path / "long.mp4", num_frames=600, size_wh=(320, 240))
    out, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    limited = 'ulimit -f 40; exec "$@"'  # blocks of 1024 bytes, for each file
    command = [
        "bash",
        "-c",
        limited,
        "bash",
        *KEEPBUSY,
        "detect",
        clip,
        "-m",
        blob_model,
        "--json",
        out,
        "--save",
        video,
    ]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert_one_clear_line(done, 1, "cannot be written")
    assert len(records("\n".join(out.read_text().splitlines()[:-1]))) > 20
    assert count_playable(video) > 10


def test_a_show_without_windows_says_how_to_get_them(blob_model: Path, clip: Path) -> None:
    assert_one_clear_line(run("detect", clip, "-m", blob_model, "--show"), 1, "--show: no window")


def test_debug_shows_the_traceback(blob_model: Path) -> None:
    done = run("detect", "gone.mp4", "-m", blob_model, "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr and "SourceError" in done.stderr
    # As a value it is none.
    done = run("detect", "gone.mp4", "-m", blob_model, "--names", "--debug")
    assert done.returncode != 0 and "Traceback" not in done.stderr


def test_quiet_hides_notes_also_where_flags_share_a_dash(clip: Path) -> None:
    code = (
        "import logging, keepbusy.sources.given as given; from keepbusy.cli import main\n"
        "def say(*_, **__): logging.getLogger('keepbusy').info('a note'); raise SystemExit(3)\n"
        "given.open_sources = say; main()"
    )
    for flags, is_shown in (((), True), (("-q",), False), (("-qd", "CPU"), False), (("--quiet",), False)):
        command = [sys.executable, "-c", code, "detect", str(clip), *flags]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
        assert done.returncode == 3 and ("note: a note" in done.stderr) == is_shown, (flags, done.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_a_video_that_plays_and_records_that_parse(
    tmp_path: Path, blob_model: Path, clip: Path, number: signal.Signals, code: int
) -> None:
    out, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    command = [
        *KEEPBUSY,
        "detect",
        str(clip),
        "-m",
        str(blob_model),
        "--loop",
        "--json",
        str(out),
        "--save",
        str(video),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
    until = time.monotonic() + 60
    while (not out.exists() or out.read_text().count("\n") < 50) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, text = process.communicate(timeout=60)
    assert process.returncode == code, text
    assert "Traceback" not in text and "frames/s" in text
    lines = records(out.read_text())
    assert f"interrupted: the outputs have {len(lines)} frames" in text
    assert len(lines) >= 50
    assert len(read_video(video)) == len(lines)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_benchmark_that_is_ended_reports_the_finished_rounds(
    tmp_path: Path, blob_model: Path, clip: Path, number: signal.Signals, code: int
) -> None:
    program = (
        "import keepbusy.bench.rounds as rounds, os, signal; from keepbusy.__main__ import main\n"
        # As a shell starts it, whatever the tests were started by ignores.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "for one in (signal.SIGTERM, signal.SIGHUP): signal.signal(one, signal.SIG_DFL)\n"
        "real = rounds.order_of\n"
        "def order_of(names, index):\n"
        f"    if index == 2: os.kill(os.getpid(), {int(number)})\n"
        "    return real(names, index)\n"
        "rounds.order_of = order_of; main()"
    )
    report = tmp_path / "report.json"
    words = ["bench", str(clip), "-m", str(blob_model), "--seconds", "0.1", "--rounds", "9", "--json", str(report)]
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert "interrupted: 2 of 9 rounds were finished" in " ".join(done.stdout.split())
    assert json.loads(report.read_text(encoding="utf-8"))["num_rounds"] == 2


def test_a_reader_that_goes_away_ends_the_run(blob_model: Path, clip: Path) -> None:
    command = f"{' '.join(KEEPBUSY)} detect {clip} -m {blob_model} --loop --json - -q | head -n 3"
    done = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert len(records(done.stdout)) == 3
    assert done.stderr == ""


def test_a_dynamic_model_and_a_cache(tmp_path: Path, clip: Path) -> None:
    model = build_blob_model(tmp_path / "m.xml")
    done = run("detect", clip, "-m", model, "--cache-dir", tmp_path / "cache", "-q")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device-timeout", "nan"), "error: --device-timeout: nan is no number"),
        (("--device-timeout", 0), "error: --device-timeout: 0.0 is out of range"),
        (("--imgsz", 0), "error: --imgsz: 0 is out of range"),
        (("--encoder", "vp9"), "error: --encoder: no video is written"),
        (("--save-conf",), "error: --save-conf: no labels are written"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(arguments: tuple[object, ...], words: str, blob_model: Path) -> None:
    done = run("detect", "-m", blob_model, *arguments)
    assert_one_clear_line(done, 2, words)


@pytest.mark.parametrize(("text", "words"), [("nan", "is no number"), ("x", "is no number"), ("1.5", "out of range")])
@pytest.mark.parametrize("option", ["--conf", "--iou"])
def test_a_share_that_is_none_is_called_so(option: str, text: str, words: str) -> None:
    done = run("detect", option, text)
    assert done.returncode == 2
    assert_one_clear_line(done, 2, f"{option}: {text} {'is ' if words.startswith('out') else ''}{words}")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    function, text = COMMANDS[name]
    module = importlib.import_module(f"keepbusy.cli.{module_of(name)}")
    assert (getattr(module, function).__doc__ or "").splitlines()[0] == text


def test_a_command_does_not_wait_for_what_the_others_import() -> None:
    code = (
        "import sys; sys.argv = ['keepbusy', *sys.argv[1:]]\n"
        "from keepbusy.cli import main\n"
        "try: main()\n"
        "finally: print([one for one in sys.modules if one.startswith('keepbusy.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", code, "models"], capture_output=True, encoding="utf-8", check=True)
    assert "'keepbusy.cli.models'" in done.stdout and "keepbusy.cli.detect" not in done.stdout
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, encoding="utf-8", check=True)
    assert "verify" in done.stdout and "keepbusy.cli.verify" not in done.stdout
