"""`keepbusy optimize`: real quantization of the embedded model, what is saved, and what is refused."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import ModelError
from keepbusy.evaluate import DatasetScorer, match_classes
from keepbusy.models import load_model
from keepbusy.models.head import find_head, raw_graph
from keepbusy.models.saved_form import is_saved_by_us, read_form, write_form
from keepbusy.optimize import OptimizeConfig, Report, Row, optimize
from keepbusy.optimize.control import control_by_map
from keepbusy.optimize.frames import Sample, network_input, open_frames, read_samples
from keepbusy.optimize.quantize import import_nncf, quantize_model
from keepbusy.optimize.report import choose_int8, to_dict
from keepbusy.pictures.letterbox import LETTERBOXED, Letterbox
from keepbusy.sources.street import Street
from keepbusy.values.forms import InputForm, OutputForm
from tests.build import write_picture
from tests.reference import infer, lay, overlap
from tests.starter import run_program

COMMAND = [sys.executable, "-m", "keepbusy", "optimize"]
STREET = "synth:street?seed=2000001&size=640x360&frames=120"
QUICK = ("--limit", 6, "--calibration-frames", 6, "--rounds", 1, "--seconds", 0.1)


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_program("optimize", *arguments, timeout_s=250, **options)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The folder of a real run, what it said as JSON, and what it said to people."""
    folder = tmp_path_factory.mktemp("int8") / "made"
    # Forced: whether INT8 is quicker on the machine that runs the tests is not what they ask.
    done = run("-o", folder, "--int8", "--head", "float", "--data", STREET, "--force", "--json", "-", *QUICK)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model, rewritten for its own 640x640 and not quantized."""
    folder = tmp_path_factory.mktemp("rewritten")
    config = OptimizeConfig(shape="square", rounds=1, seconds=0.1, force=True)
    report = optimize(embedded_model(), folder, open_frames(str(embedded_clip()), 2), config=config)
    (path,) = report.files
    return Path(path)


# What is saved ---------------------------------------------------------------------------------------------------


def test_both_forms_are_saved_whole_and_nothing_else(int8: tuple[Path, dict[str, Any], str]) -> None:
    folder, content, text = int8
    stem = f"{embedded_model().stem}-int8"
    names = {f"{stem}.xml", f"{stem}.bin", f"{stem}-384x640.xml", f"{stem}-384x640.bin"}
    assert {path.name for path in folder.iterdir()} == names
    assert content["files"] == [str(folder / f"{stem}.xml"), str(folder / f"{stem}-384x640.xml")]
    assert content["chosen"] == "int8, float head" and "nncf" not in text.lower()
    assert (folder / f"{stem}.bin").stat().st_size < 0.7 * embedded_model().with_suffix(".bin").stat().st_size


def test_the_int8_model_is_int8_and_has_the_originals_inputs_outputs_and_names(
    int8: tuple[Path, dict[str, Any], str],
) -> None:
    made, own = (load_model(path) for path in (Path(int8[1]["files"][0]), embedded_model()))
    nodes = made.graph.get_ops()
    stored = [node for node in nodes if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.i8]
    convolutions = [node for node in nodes if node.get_type_name() == "Convolution"]
    # All but the head's three.
    assert len(stored) == len(convolutions) - 3
    assert made.names == own.names and made.output.family == own.output.family
    for attribute in ("inputs", "outputs"):
        ports = [[(port.shape, port.element_type) for port in getattr(one.graph, attribute)] for one in (made, own)]
        assert ports[0] == ports[1]


def test_what_is_saved_is_known_as_our_own(int8: tuple[Path, dict[str, Any], str]) -> None:
    saved = sorted(int8[0].glob("*.xml"))
    assert len(saved) == 2 and all(map(is_saved_by_us, saved))
    assert not is_saved_by_us(embedded_model()) and not is_saved_by_us(saved[0].with_suffix(".bin"))


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_saved_finds_what_is_there(int8: tuple[Path, dict[str, Any], str], which: int) -> None:
    """Against the scene's exact truth, in frames that it was not calibrated on."""
    street = Street("synth:street?seed=5&size=640x360&frames=300")
    num_objects = num_found = num_all = num_wrong = 0
    with kb.Pipeline(int8[1]["files"][which], conf=0.5) as pipeline:
        assert pipeline.head == "stock" if which else pipeline.head in ("stock", "tail", "host")
        for result in pipeline.run(street.info.name, limit=5, stride=60):
            truth = street.truth(result.frame.index)
            boxes = [tuple(box) for box in result.detections.boxes_xyxy.tolist()]
            classes = result.detections.class_id.tolist()
            large = [
                (tuple(box), own)
                for box, own in zip(truth.boxes_xyxy.tolist(), truth.class_id.tolist(), strict=True)
                if (box[2] - box[0]) * (box[3] - box[1]) > 32 * 32
            ]
            num_objects += len(large)
            num_all += len(boxes)
            for box, own in large:
                num_found += any(c == own and overlap(b, box) > 0.6 for b, c in zip(boxes, classes, strict=True))
            every = list(zip(truth.boxes_xyxy.tolist(), truth.class_id.tolist(), strict=True))
            num_wrong += sum(
                not any(c == own and overlap(b, box) > 0.4 for box, own in every)
                for b, c in zip(boxes, classes, strict=True)
            )
    assert num_objects > 25
    assert num_found >= 0.9 * num_objects
    # Objects that others hide by half are not in the truth, and are found all the same.
    assert num_wrong <= 0.2 * num_all


def test_the_rewritten_graph_gives_other_programs_what_the_exported_one_gives(rewritten: Path) -> None:
    """Through plain OpenVINO: every row above the threshold, decoded by hand from the exported graph's output."""
    frame = Street("synth:street?seed=5&size=640x360").read()
    assert frame is not None and frame.image is not None
    laid, *_ = lay(frame.image, (640, 640))
    output = infer(embedded_model(), frame.image)[0].astype(np.float64)
    scores = output[:, 5:] * output[:, 4:5]
    expected = []
    for index in np.flatnonzero(scores.max(axis=1) > 0.2):
        cx, cy, w, h = output[index, :4]
        box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        expected.append((*box, scores[index].max(), scores[index].argmax()))
    made = ov.Core().compile_model(rewritten, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert made.input("image").shape == [1, 640, 640, 3] and made.input(0).element_type == ov.Type.u8
    found = made([laid[None]])
    rows = found["detections"][found["detections"][:, 4] > 0.2]
    assert found["left_out"].shape == (1,) and found["left_out"][0] < 0
    assert len(expected) == len(rows) > 30
    gaps = np.abs(np.array(expected)[:, None] - rows[None])
    # The exported graph keeps its grid in float16: half a pixel at 640.
    is_same = (gaps[:, :, :4] < 0.6).all(axis=2) & (gaps[:, :, 4] < 2e-3) & (gaps[:, :, 5] == 0)
    assert is_same.any(axis=1).all() and is_same.any(axis=0).all()


def test_a_rewritten_graph_is_exact_or_says_that_it_is_not(rewritten: Path) -> None:
    clip = str(embedded_clip())
    found = []
    for path in (rewritten, embedded_model()):
        head: Any = "stock" if path == rewritten else "tail"
        with kb.Pipeline(path, precision="f32", head=head, shape="square") as pipeline:
            found.append([result.detections for result in pipeline.run(clip, limit=3)])
    for ours, theirs in zip(*found, strict=True):
        assert len(ours) > 10
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=0.01)
        np.testing.assert_array_equal(ours.class_id, theirs.class_id)
    with kb.Pipeline(rewritten, conf=0.0) as pipeline, pytest.raises(kb.FrameError, match="more candidates"):
        list(pipeline.run(clip, limit=1))
    with pytest.raises(kb.ConfigError, match="best class only"):
        kb.Pipeline(rewritten, multi_label=True)
    with pytest.raises(ModelError, match="is rewritten already"):
        optimize(rewritten, rewritten.parent, open_frames(clip, 2))


def test_a_file_says_how_its_outputs_are_to_be_read(tmp_path: Path) -> None:
    form = OutputForm("yolov8", "pose", (0, 1), 1, keypoints=(17, 3), strides_px=(8, 16, 32), is_tail=True)
    image = ops.parameter([1, 64, 64, 3], np.uint8)
    graph = ov.Model([ops.convert(image, "f32")], [image], "made")
    path = tmp_path / "made.xml"
    write_form(graph, InputForm("NHWC", (64, 64), fit="corner", pad_value=0), form, ("traffic light",))
    ov.save_model(graph, path)
    graph = ov.Core().read_model(path)
    read = read_form(graph, path)
    assert read is not None and read.why
    for name in ("family", "task", "outputs", "num_classes", "keypoints", "anchors_px", "strides_px", "is_tail"):
        assert getattr(read, name) == getattr(form, name)
    graph.set_rt_info("0", ["keepbusy", "version"])
    with pytest.raises(ModelError, match="another version"):
        read_form(graph, path)
    for damaged in ("no JSON", "[]", '{"family": "yolov5"}', '{"nonsense": 1}'):
        graph.set_rt_info("1", ["keepbusy", "version"])
        graph.set_rt_info(damaged, ["keepbusy", "output"])
        with pytest.raises(ModelError, match="cannot be read"):
            read_form(graph, path)
    assert read_form(ov.Core().read_model(embedded_model()), path) is None


# What is refused -------------------------------------------------------------------------------------------------


def test_a_model_calibrated_on_noise_is_refused_with_the_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for number in range(4):
        write_picture(tmp_path / "noise" / f"{number}.png", rng.integers(0, 2, (360, 640, 3), np.uint8))
    options = ("--int8", "--head", "int8", "--data", STREET, "--calibrate", tmp_path / "noise", "--max-drop", 0.5)
    done = run("-o", tmp_path / "made", *options, *QUICK, "--json", tmp_path / "report.json")
    assert done.returncode == 1
    assert not (tmp_path / "made").exists()
    lines = [line for line in done.stderr.splitlines() if line.startswith("refused: accuracy falls by")]
    assert len(lines) == 1 and "points, over the 0.5 allowed: mAP50-95" in lines[0]
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["is_refused"] and content["files"] == [] and content["drop_points"] > 0.5
    assert lines[0].removeprefix("refused: ") in content["refusals"]
    assert "int8" in done.stdout and "mAP50-95" in done.stdout


def row(name: str, fps: Sequence[float], score: float | None = None, problems: tuple[str, ...] = ()) -> Row:
    return Row(
        name=name,
        precision="f32",
        input_hw=(64, 64),
        size_bytes=1,
        rounds_fps=tuple(fps),
        map50_95=score,
        problems=problems,
    )


def report(new: Row, *old: Row, max_drop: float = 1.0) -> Report:
    names = tuple(one.name for one in old)
    return Report(rows=(*old, new), chosen=new.name, originals=names, trusted=names[:1], max_drop=max_drop)


def test_what_is_not_faster_than_the_best_original_is_refused() -> None:
    old = row("f32", [10, 10, 10], 0.5), row("bf16", [30, 32, 28], 0.4)
    assert report(row("int8", [33, 35, 31], 0.5), *old).refusals == []
    (line,) = report(row("int8", [30, 29, 28], 0.5), *old).refusals
    assert line == "int8 is not faster on this device: 29.0 frames/s, bf16 30.0 (1.00 times)"
    # A device without float32 has no speed for it.
    no_f32 = row("f32", [], 0.5), row("f16", [30, 32, 28], 0.5)
    assert report(row("int8", [60, 64, 56], 0.5), *no_f32).speed_up.median == 2
    assert to_dict(report(row("int8", [60, 64, 56], 0.5), *no_f32))["rows"][0]["ratio"] is None


@pytest.mark.parametrize(("score", "is_refused"), [(0.4901, False), (0.4899, True), (0.6, False)])
def test_accuracy_may_fall_by_so_much(score: float, is_refused: bool) -> None:
    found = report(row("int8", [2], score), row("f32", [1], 0.5))
    assert found.is_refused is is_refused
    assert found.drop_points == pytest.approx((0.5 - score) * 100)


def test_without_labels_it_must_agree() -> None:
    found = report(row("int8", [2], problems=("boxes differ",)), row("f32", [1]))
    assert found.refusals == ["int8 does not find what the original finds: boxes differ"]
    assert found.drop_points is None


@pytest.mark.parametrize(
    ("int8_map", "int8_fps", "float_map", "float_fps", "expected"),
    [
        (0.495, 100, 0.499, 99, "float"),  # Worth its speed.
        (0.495, 100, 0.499, 80, "int8"),  # Too slow, and the other is good enough.
        (0.495, 100, 0.4955, 99, "int8"),  # Hardly better.
        (0.480, 100, 0.492, 50, "float"),  # The other is refused.
        (0.495, 100, 0.495, 101, "float"),  # Costs nothing.
        (0.495, 100, 0.490, 101, "int8"),
    ],
)
def test_the_head_stays_in_float_where_that_pays(
    int8_map: float, int8_fps: float, float_map: float, float_fps: float, expected: str
) -> None:
    int8, other = row("int8", [int8_fps], int8_map), row("float", [float_fps], float_map)
    assert choose_int8(int8, other, 0.5, 1.0) == expected
    assert choose_int8(int8, None, 0.5, 1.0) == "int8"


def test_nothing_is_left_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("comparing the saved graph"):
            raise KeyboardInterrupt

    config = OptimizeConfig(rounds=1, seconds=0.1, force=True)
    with pytest.raises(KeyboardInterrupt):
        optimize(embedded_model(), tmp_path, open_frames(str(embedded_clip()), 2), config=config, on_step=interrupt)
    assert list(tmp_path.iterdir()) == []


# How it is quantized ---------------------------------------------------------------------------------------------


def test_a_tensor_becomes_what_the_network_wants() -> None:
    tensor = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    found = network_input(tensor, InputForm("NCHW", (2, 3)), np.dtype(np.float32))
    assert found.shape == (1, 3, 2, 3) and found.dtype == np.float32 and found.flags.c_contiguous
    assert found[0, 0, 1, 2] == pytest.approx(tensor[1, 2, 2] / 255)  # Red comes first.
    form = InputForm("NHWC", (2, 3), is_bgr=True, mean=(1.0, 2.0, 3.0), scale=(2.0, 4.0, 8.0))
    found = network_input(tensor, form, np.dtype(np.float16))
    assert found.shape == (1, 2, 3, 3) and found.dtype == np.float16
    np.testing.assert_allclose(found[0, 1, 1], [(12 - 1) / 2, (13 - 2) / 4, (14 - 3) / 8])
    np.testing.assert_array_equal(network_input(tensor, form, np.dtype(np.uint8))[0], tensor)


def test_accuracy_control_scores_raw_outputs_as_a_run_is_scored() -> None:
    """What NNCF is told while it tries, against the pipeline's own mAP on the same frames."""
    frames = open_frames(STREET, 4)
    assert frames.dataset is not None
    model = load_model(embedded_model())
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    graph, form = raw_graph(model.graph, head, [1, 3, *model.input_hw])
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    samples = read_samples(frames, lambda _hw: model.input_hw, LETTERBOXED, lambda _count: None)
    control = control_by_map(frames, samples, model.names, 0.01)
    found = []
    for sample in samples:
        outputs = compiled([network_input(sample.tensor, model.input, np.dtype(np.float32))])
        found.append((sample, control.detect(tuple(outputs.values()), sample, form)))
    options: dict[str, Any] = {"precision": "f32", "shape": "square", "head": "stock", "conf": 0.001, "iou": 0.6}
    with kb.Pipeline(embedded_model(), multi_label=True, **options) as pipeline:
        mapping, _ = match_classes(frames.dataset, pipeline.names)
        scorer = DatasetScorer(frames.dataset, pipeline.names, mapping)
        for result in pipeline.run(frames.open(), limit=4, stride=30):
            scorer.add(result)
    expected = scorer.evaluation.accuracy().map50_95
    assert expected is not None and expected > 0.5
    assert control.score(found) == pytest.approx(expected, abs=0.003)
    assert control.score([(sample, kb.Detections.empty()) for sample in samples]) == 0


def test_behind_an_unknown_head_everything_stays_in_float(tmp_path: Path) -> None:
    """YOLOv8's form with a formula that is not its own: nothing to rewrite, but the convolutions can be quantized."""
    rng = np.random.default_rng(1)
    image = ops.parameter([1, 3, 64, 64], np.float32, name="images")
    heads = []
    for stride in (8, 16, 32):
        pooled = ops.avg_pool(image, [stride, stride], [0, 0], [0, 0], [stride, stride], exclude_pad=True)
        hidden = pooled
        for number, (inputs, outputs) in enumerate(((3, 16), (16, 7))):
            weights = ops.constant(rng.normal(0, 0.5, (outputs, inputs, 1, 1)).astype(np.float32))
            hidden = ops.convolution(hidden, weights, [1, 1], [0, 0], [0, 0], [1, 1], name=f"conv{stride}-{number}")
            hidden = ops.relu(hidden) if number == 0 else hidden
        heads.append(ops.reshape(hidden, np.array([1, 7, -1]), special_zero=False))
    joined = ops.concat(heads, 2)
    scaled = ops.multiply(ops.tanh(ops.multiply(joined, joined, name="behind")), np.float32(3), name="far-behind")
    path = tmp_path / "odd.xml"
    model = ov.Model([scaled], [image], "odd")
    model.set_rt_info("a b c", ["model_info", "labels"])
    ov.save_model(model, path)
    with pytest.raises(ModelError, match="there is nothing to rewrite"):
        optimize(path, tmp_path / "made", open_frames(str(embedded_clip()), 2))
    assert not (tmp_path / "made").exists()
    loaded = load_model(path)
    with kb.Pipeline(path) as pipeline:
        letterbox = pipeline.model.input.fit
    assert letterbox == "letterbox"
    samples = [_sample(rng) for _ in range(4)]
    quantized = quantize_model(loaded, None, samples)
    by_name = {node.get_friendly_name(): node for node in quantized.get_ops()}
    for name, is_quantized in (("conv8-0", True), ("conv32-1", True), ("behind", False), ("far-behind", False)):
        kinds = {by_name[name].input_value(0).get_node().get_type_name()}
        assert ("FakeQuantize" in kinds) is is_quantized, name


def _sample(rng: np.random.Generator) -> Sample:
    picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
    return Sample(picture, Letterbox.fit((64, 64), (64, 64)), None)


def test_handlers_of_who_listens_to_nncf_stay_as_they_are() -> None:
    import_nncf()
    handler = logging.NullHandler(logging.INFO)
    logger = logging.getLogger("nncf")
    logger.addHandler(handler)
    try:
        import_nncf()
    finally:
        logger.removeHandler(handler)
    assert (handler.level, logger.level) == (logging.INFO, logging.ERROR)


def test_nncf_is_silent_and_sends_nothing() -> None:
    check = (
        "import os; from keepbusy.optimize.quantize import import_nncf; import_nncf(); "
        "from nncf.telemetry.wrapper import NNCFTelemetry, telemetry; "
        "print(isinstance(telemetry, NNCFTelemetry), 'NNCF_CI' in os.environ)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NNCF_CI"}
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, encoding="utf-8", check=True, env=environment, timeout=120
    )
    assert (done.stdout, done.stderr) == ("False False\n", "")


# Bad usage -------------------------------------------------------------------------------------------------------


def assert_one_clear_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and all(word in errors[0] for word in words), done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("hint:")]) == 1, done.stderr


def test_bad_usage_is_one_clear_line(tmp_path: Path, blob_model: Path, clip: Path) -> None:
    good = ("-o", tmp_path / "made")
    assert run().returncode == 2
    assert_one_clear_line(run(tmp_path / "none.xml", *good, "--data", clip), 1, "none.xml", "no such model file")
    assert_one_clear_line(run(blob_model, *good), 2, "--data")
    assert_one_clear_line(run(*good, "--data", tmp_path / "none"), 1, "none", "no such file")
    assert_one_clear_line(run(*good, "--shape", "wide"), 2, "--shape: 'wide'")
    assert_one_clear_line(run(*good, "--shape", "380x640", "--data", clip), 2, "--shape", "multiples of 32")
    assert_one_clear_line(run(*good, "--calibrate", clip), 2, "--calibrate: is for --int8")
    unlabelled = ("--int8", "--accuracy-control", "--data", clip)
    assert_one_clear_line(run(*good, *unlabelled), 2, "--accuracy-control", "no labels")
    assert_one_clear_line(run("-o", clip), 1, "clip.mp4", "cannot be made")
    assert_one_clear_line(run(blob_model, *good, "--data", clip), 1, "blob.xml", "nothing to rewrite")
    assert_one_clear_line(run(blob_model, *good, "--int8", "--data", STREET), 2, "none of its classes")
    assert not (tmp_path / "made").exists()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "nncf.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join(filter(None, (str(tmp_path / "path"), os.environ.get("PYTHONPATH"))))
    done = run("-o", tmp_path / "made", "--int8", env={**os.environ, "PYTHONPATH": path})
    assert_one_clear_line(done, 1, "--int8 needs packages that are not installed")
    assert "keepbusy[quantize]" in done.stderr


def test_help_teaches() -> None:
    text = run("--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for words in ("--int8", "--calibrate", "--max-drop", "--accuracy-control", "--force", "coco.yaml", "-int8.xml"):
        assert words in text
