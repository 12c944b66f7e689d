"""The gate: it lets honest candidates pass and stops each of the planted faults, on what the package carries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest

import keepbusy as kb
from keepbusy.cli.verify import parse_against
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.evaluate.verify import Verification, detection_floor, verify
from keepbusy.evaluate.verify_pictures import draw_worst, save_worst
from keepbusy.evaluate.verify_report import Side, to_dict
from keepbusy.sources import open_sources
from tests import faults
from tests.build import build_blob_model, square_picture, write_picture
from tests.starter import run_program

FRAMES = 8
# As exported, and at the same size: a fault in the graph must not be optimised away, nor hidden by another shape.
PLAIN: dict[str, Any] = {"head": "stock", "shape": "square", "max_det": 1000}


def compare(
    candidate: Path | None = None,
    *,
    reference: Path | None = None,
    sources: tuple[object, ...] = (),
    frames: int = FRAMES,
    conf: float | None = None,
    **options: Any,
) -> Verification:
    """The candidate against the embedded model in float32, over the embedded clip."""
    trusted = reference or embedded_model()
    floor = detection_floor(conf)
    with (
        kb.Pipeline(trusted, precision="f32", mode="sync", conf=floor, **PLAIN) as first,
        kb.Pipeline(candidate or trusted, conf=floor, **{**PLAIN, **options}) as second,
    ):
        opened = open_sources([str(source) for source in sources or (embedded_clip(),)], read_ahead=False)
        return verify(first, second, opened, max_frames=frames, conf=conf)


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "sync"}, {"precision": "f32"}, {"nireq": 7}],
    ids=["own precision", "sync", "f32", "many slots"],
)
def test_an_honest_candidate_passes(options: dict[str, Any]) -> None:
    report = compare(**options)
    assert report.problems == [] and report.is_passed
    assert report.num_frames == FRAMES and report.conf == 0.25
    assert report.agreement.num_reference > 150
    assert (report.preparation.num_compared, report.preparation.num_different) == (2, 0)
    if options.get("precision") == "f32":
        # The same model in the same number type gives the same bytes, sync or async.
        assert report.agreement.badness == 0 and report.worst == ()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (faults.swap_colours, "boxes differ"),
        (faults.pad_with_black, "given different pictures"),
        (faults.shift_half_a_cell, "are missing"),
        (faults.exchange_anchors(0, is_turned=False), "not the reference's"),
        (faults.exchange_anchors(1, is_turned=False), "not the reference's"),
        (faults.exchange_anchors(2, is_turned=False), "not the reference's"),
        (faults.exchange_anchors(0, is_turned=True), "boxes differ"),
        (faults.exchange_anchors(1, is_turned=True), "boxes differ"),
        (faults.exchange_anchors(2, is_turned=True), "boxes differ"),
        (faults.return_zeros, "the candidate finds nothing"),
    ],
    ids=[
        *("swapped colours", "wrong padding", "half a cell", "anchors 0", "anchors 1", "anchors 2"),
        *("turned anchors 0", "turned anchors 1", "turned anchors 2", "zeros"),
    ],
)
def test_a_planted_fault_is_caught(tmp_path: Path, spoil: Callable[[ov.Model], None], words: str) -> None:
    report = compare(faults.save_spoiled(tmp_path / "spoiled.xml", spoil))
    assert not report.is_passed
    assert words in "; ".join(report.problems)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_int8_model_calibrated_on_noise_is_caught(tmp_path: Path) -> None:
    graph = faults.calibrate_on_noise(ov.Core().read_model(embedded_model()))
    ov.save_model(graph, tmp_path / "int8.xml")
    report = compare(tmp_path / "int8.xml")
    assert not report.is_passed
    assert "boxes differ" in "; ".join(report.problems) and "scores differ" in "; ".join(report.problems)


def test_half_a_cell_shows_as_an_offset(tmp_path: Path) -> None:
    found = compare(faults.save_spoiled(tmp_path / "spoiled.xml", faults.shift_half_a_cell)).agreement
    # Half a cell is 4, 8 or 16 pixels of the input, twice that in the frame; only large boxes still match.
    across, down = np.median(found.offset_px, axis=0).tolist()
    assert across == pytest.approx(down, abs=1) and min(abs(across - size) for size in (8, 16, 32)) < 1


def test_where_the_reference_finds_nothing_nothing_is_proved(tmp_path: Path) -> None:
    for number in range(2):
        write_picture(tmp_path / f"{number}.png", np.full((360, 640, 3), 114, np.uint8))
    report = compare(sources=(tmp_path,))
    assert report.is_empty and not report.is_passed
    assert report.problems == ["nothing to compare: the reference finds nothing in 2 frames"]


def test_a_candidate_that_sees_things_is_caught_on_empty_frames(tmp_path: Path) -> None:
    dark = write_picture(tmp_path / "dark.png", np.zeros((64, 96, 3), np.uint8))

    def brighten(graph: ov.Model) -> ov.Model:
        image = graph.get_parameters()[0]
        for target in image.output(0).get_target_inputs():
            target.replace_source_output(
                ov.opset13.add(image, ov.opset13.constant(np.array([[[[0.8]], [[0]], [[0]]]], np.float32))).output(0)
            )
        return graph

    blind, seeing = build_blob_model(tmp_path / "blind.xml"), tmp_path / "seeing.xml"
    ov.save_model(brighten(ov.Core().read_model(blind)), seeing)
    report = compare(seeing, reference=blind, sources=(dark,))
    assert report.is_empty and report.agreement.num_candidate > 0
    assert len(report.problems) == 2 and "not the reference's" in report.problems[1]


def test_a_lower_threshold_is_taken_where_there_is_little_and_never_one_that_was_not_asked_for(
    tmp_path: Path, blob_model: Path
) -> None:
    faint = write_picture(tmp_path / "faint.png", (square_picture() * 0.4).astype(np.uint8))
    # Objectness and class are both 0.4 there: a confidence of 0.16.
    report = compare(reference=blob_model, sources=(faint,))
    assert report.conf == 0.1 and report.is_passed and report.agreement.num_reference >= 5
    assert compare(reference=blob_model, sources=(faint,), conf=0.25).is_empty


def test_frames_come_from_all_over_all_sources_and_no_more_than_asked_for(blob_model: Path, clip: Path) -> None:
    seen: list[int] = []
    floor = detection_floor(None)
    with (
        kb.Pipeline(blob_model, mode="sync", conf=floor, **PLAIN) as first,
        kb.Pipeline(blob_model, conf=floor, **PLAIN) as second,
    ):
        sources = open_sources([clip, clip], read_ahead=False)
        report = verify(first, second, sources, max_frames=10, num_worst=3, on_frames=seen.append)
        assert (report.num_frames, seen) == (10, [4, 8, 10])
        with pytest.raises(KeepbusyError, match="no frames"):
            verify(first, second, [])


def test_models_of_different_classes_cannot_be_compared(blob_model: Path) -> None:
    with pytest.raises(ConfigError, match="8 classes, the candidate 3"):
        compare(blob_model)


def test_the_worst_frames_are_kept_and_drawn_worst_first(tmp_path: Path) -> None:
    report = compare(faults.save_spoiled(tmp_path / "spoiled.xml", faults.exchange_anchors(2, is_turned=True)))
    badness = [worst.agreement.badness for worst in report.worst]
    assert len(badness) == 4 and badness == sorted(badness, reverse=True)
    paths = save_worst(tmp_path / "worst", report.worst, ("one", "other"))
    assert [path.name for path in paths] == sorted(path.name for path in (tmp_path / "worst").iterdir())
    picture = cv2.imread(str(paths[0]))
    assert picture is not None and picture.shape[1] == 2 * 1280 + 6 and picture.shape[0] > 720
    # Below the headings, only boxes and labels differ from the frame: green on the left, red on the right.
    drawn, frame = draw_worst(report.worst[0], ("one", "other")), report.worst[0].frame.image
    assert frame is not None
    heading = drawn.shape[0] - 720
    for side, (channel, other) in ((drawn[heading:, :1280], (1, 2)), (drawn[heading:, -1280:], (2, 1))):
        changed = side[(side != frame).any(axis=2)].astype(int)
        assert len(changed) > 1000
        assert (changed[:, channel] > changed[:, other]).mean() > 0.8


def test_the_report_as_json_has_every_figure(tmp_path: Path) -> None:
    report = compare(faults.save_spoiled(tmp_path / "spoiled.xml", faults.return_zeros), frames=4)
    sides = Side("a.xml", "CPU", "f32", "sync"), Side("b.xml", "GPU", "f16", "async")
    content = json.loads(json.dumps(to_dict(report, *sides), allow_nan=False))
    assert content["format"] == "keepbusy-verify" and content["passed"] is False and len(content["problems"]) == 1
    assert (content["found_share"], content["backed_share"], content["iou"]["p10"]) == (0.0, None, None)
    assert content["num_missing"] == content["num_reference"] > 50 and content["num_frames"] == 4
    assert content["candidate"] == {
        **{"model": "b.xml", "device": "GPU", "precision": "f16", "mode": "async", "input_hw": [640, 640]},
        "quantized": None,
    }
    assert content["worst"][0]["num_missing"] > 10


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_program("verify", *arguments, env={**os.environ, "COLUMNS": "120"}, timeout_s=200)


def test_the_command_passes_on_what_the_package_carries(tmp_path: Path) -> None:
    done = run("--frames", 8, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("reference", "candidate", "CPU f32 sync", "box overlap", "score difference", "agrees"):
        assert words in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["passed"] is True


def test_the_command_fails_on_a_fault_and_shows_where(tmp_path: Path) -> None:
    spoiled = faults.save_spoiled(tmp_path / "spoiled.xml", faults.swap_colours)
    done = run(
        *("-m", spoiled, "--against-model", embedded_model(), embedded_clip(), "--frames", 4),
        *("--head", "stock", "--shape", "square", "--json", "-", "--save", tmp_path / "worst"),
    )
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["passed"] is False and content["preparation"]["num_compared"] == 1
    assert "differs: " in done.stderr and "hint:" in done.stderr
    assert len(list((tmp_path / "worst").iterdir())) == 4


def test_the_command_takes_looser_limits_and_says_when_there_is_nothing(tmp_path: Path) -> None:
    grey = write_picture(tmp_path / "grey.png", np.full((90, 160, 3), 114, np.uint8))
    done = run(grey)
    assert done.returncode == 1
    assert "nothing to compare" in done.stdout and "objects that the model knows" in done.stderr
    strict = run(
        "--frames",
        4,
        "--head",
        "stock",
        "--shape",
        "square",
        "--against",
        "CPU",
        "--precision",
        "f32",
        "--max-drift",
        0,
        "--min-iou",
        1,
    )
    loose = run("--frames", 4, "--against", "CPU:f32", "--max-drift", 1, "--min-iou", 0, "--min-matched", 0)
    assert loose.returncode == 0
    # The device's own number type differs from float32 only where it has another one.
    assert strict.returncode == (0 if "CPU f32 sync" in strict.stdout else 1)


def test_a_trusted_model_that_is_missing_is_named_by_its_own_option() -> None:
    done = run("--against-model", "nope.xml")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: nope.xml: no such model file",
        "hint: check the path given with --against-model",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CPU:f32", ("CPU", "f32")),
        ("CPU:F16", ("CPU", "f16")),
        ("GPU.1", ("GPU.1", None)),
        ("AUTO:CPU", ("AUTO:CPU", None)),
        ("auto:GPU,CPU:bf16", ("auto:GPU,CPU", "bf16")),
    ],
)
def test_a_trusted_device_and_its_precision(text: str, expected: tuple[str, str | None]) -> None:
    assert parse_against(text) == expected


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-d", "TPU"), 1, "there is no TPU"),
        (("--against", "CPU:f99"), 2, "there is no precision 'f99'"),
        (("--against", "AUTO:CPU:f99"), 2, "there is no precision 'f99'"),
        (("--imgsz", 0), 2, "error: --imgsz: 0 is out of range"),
        (("--against", ""), 2, "--against: is empty"),
        (("--imgsz", "big"), 2, "is not a size"),
        (("no-such.mp4",), 1, "no such file"),
        (("-m", "no-such.xml"), 1, "no-such.xml"),
    ],
)
def test_wrong_use_is_one_line_and_a_hint(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    error, hint = done.stderr.splitlines()
    assert error.startswith("error:") and words in error and hint.startswith("hint:")
