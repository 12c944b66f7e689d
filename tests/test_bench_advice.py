"""The benchmark's advice: only what the model and the machine can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepbusy.bench.advice import advice_for
from keepbusy.bench.possible import EVERYTHING, Possible, possible
from keepbusy.bench.verdict import Profile, StageCost, judge
from keepbusy.cli.commands import load_command
from keepbusy.embedded import embedded_model
from keepbusy.models.load import load_model
from tests.build import build_blob_model

LIMITS = ("read", "preprocess", "infer", "postprocess", "sink", "slots", "cores")
NOTHING = Possible(smaller_imgsz="", can_be_int8=False, higher_conf="")


def known(model: Path, *, device: str = "CPU", available: tuple[str, ...] = ("CPU",), num_cores: float = 2) -> Possible:
    return possible(load_model(model), device, available, ["clip.mp4"], conf=0.25, num_cores=num_cores)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    "can",
    [
        EVERYTHING,
        NOTHING,
        Possible(other_devices=("GPU.1", "NPU"), quicker_reading="--reduce-jpegs", more_preprocess_threads=3),
        Possible(quicker_reading="--fast-decode"),
    ],
)
def test_every_flag_that_is_advised_is_one_of_detect(limit: str, can: Possible) -> None:
    words, flag = advice_for(limit, can, num_slots=4)
    options = {option for param in load_command("detect").params for option in param.opts}
    assert words and (flag.split()[0] in options or flag == "keepbusy optimize --int8")


@pytest.mark.parametrize("limit", ["infer", "cores"])
def test_what_is_not_possible_is_not_advised(limit: str) -> None:
    words, flag = advice_for(limit, NOTHING, num_slots=4)
    assert flag == "--stride 2" and "GPU" not in words and "optimize" not in words and "smaller input" not in words
    words, flag = advice_for(limit, Possible(smaller_imgsz="", can_be_int8=False, other_devices=("NPU",)), num_slots=4)
    assert flag == "--device NPU" and "optimize" not in words and "smaller input" not in words
    words, flag = advice_for(limit, Possible(smaller_imgsz=""), num_slots=4)
    assert flag == "keepbusy optimize --int8" and "GPU" not in words
    assert advice_for("preprocess", NOTHING, num_slots=4)[1] == "--stride 2"
    assert advice_for("postprocess", NOTHING, num_slots=4)[1] == "--classes"


def test_a_fixed_model_without_a_head_to_replace_is_not_told_of_other_inputs(tmp_path: Path) -> None:
    can = known(build_blob_model(tmp_path / "m.xml"))
    assert can == Possible(smaller_imgsz="", can_be_int8=True, quicker_reading="--fast-decode")
    assert known(embedded_model()).smaller_imgsz == "480"


def test_what_is_done_already_is_not_advised(tmp_path: Path) -> None:
    model = load_model(build_blob_model(tmp_path / "m.xml"))
    for source, name in (("clip.mp4", "fast_decode"), ("photo.jpg", "reduce_jpegs")):
        told = [
            possible(model, "CPU", ["CPU"], [source], conf=0.25, num_cores=2, decoding=done).quicker_reading
            for done in ([], [name])
        ]
        assert told == [f"--{name.replace('_', '-')}", ""]


def test_devices_and_cores_are_those_that_are_here() -> None:
    model = embedded_model()
    assert known(model).other_devices == ()
    assert known(model, available=("CPU", "GPU.0", "GPU.1", "NPU")).other_devices == ("GPU.0", "GPU.1", "NPU")
    assert known(model, device="GPU.1", available=("CPU", "GPU.0", "GPU.1")).other_devices == ()
    assert known(model, device="AUTO:GPU,CPU", available=("CPU", "GPU")).other_devices == ("GPU",)
    assert [known(model, num_cores=cores).more_preprocess_threads for cores in (2, 4, 16)] == [0, 2, 3]


def test_a_quantized_model_is_not_told_to_be_quantized(data: Path) -> None:
    can = known(data / "models" / "yolov8n_int8_openvino_model" / "yolov8n.xml")
    assert not can.can_be_int8 and can.smaller_imgsz == "480"
    assert known(data / "models" / "yolov5n.xml").can_be_int8


def test_the_verdict_uses_it() -> None:
    profile = Profile({"infer": StageCost(0.010)}, 100)
    assert judge(profile).flag == "--imgsz 480"
    assert judge(profile, can=Possible(smaller_imgsz="256x416")).flag == "--imgsz 256x416"
    assert judge(profile, can=NOTHING).flag == "--stride 2"
