"""Values as other programs write them → as keepbusy does: `intel:gpu`, `fp16`, `[640, 480]`, `libx264`."""

from __future__ import annotations

import re
from collections.abc import Callable

from keepbusy.errors import ConfigError

_PRECISIONS = {"fp32": "f32", "float32": "f32", "fp16": "f16", "half": "f16", "float16": "f16", "bfloat16": "bf16"}
_HINTS = {"tput": "throughput"}
_ENCODERS = {
    **{"libx264": "h264", "x264": "h264", "avc1": "h264", "libopenh264": "openh264", "libvpx-vp9": "vp9"},
    **{"libsvtav1": "av1", "mp4v": "mpeg4", "mjpg": "mjpeg"},
}
_TASKS = {
    **{"detection": "detect", "segmentation": "segment", "keypoints": "pose", "keypoint": "pose"},
    **{"classification": "classify", "cls": "classify", "seg": "segment", "instance-segmentation": "segment"},
}
_SHAPE = re.compile(r"(?:\w[\w.:/-]*)?\[([\d, ]+)\](?:\w.*)?")


def our_value(option: str, text: str) -> str:
    """An option's value as it is written here; what is no habit stays as it is.

    Args:
        option: Its name here, with dashes.
        text: The value.

    Raises:
        ConfigError: It names something that there is not, and that has another name here.
    """
    change = _CHANGES.get(option)
    return text if change is None else change(text)


def _device(text: str) -> str:
    name = text.strip().lower()
    name = name.removeprefix("intel:")
    if re.fullmatch(r"(cuda|rocm|mps|tensorrt|trt|xpu)(:\d+)?|\d+(,\d+)*|-1", name):
        raise ConfigError(
            f"--device: {text!r} is no device of OpenVINO",
            hint="write --device CPU, GPU, GPU.1 or NPU; `keepbusy devices` lists those that are here",
        )
    if match := re.fullmatch(r"(cpu|gpu|npu)(?::(\d+))?", name):
        return match[1].upper() + (f".{match[2]}" if match[2] and match[1] != "cpu" else "")
    return text


def _size(text: str) -> str:
    """`[640, 480]`, `(640,480)`, and benchmark_app's `[1,3,640,640]` → height x width."""
    match = _SHAPE.fullmatch(text.strip())
    numbers = match[1].replace(" ", "").strip(",").split(",") if match else []
    if len(numbers) == 4:
        numbers = numbers[1:3] if numbers[3] == "3" else numbers[2:]
    if len(numbers) in (1, 2) and all(numbers):
        return "x".join(numbers)
    return text.strip().strip("()").replace(" ", "") if text.strip().startswith("(") else text


def _classes(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        return ",".join(part.strip().strip("'\"") for part in stripped[1:-1].split(","))
    return text


def _share(option: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        number = text.strip().removesuffix("%").replace(",", ".")
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", number):
            return text
        is_percent = text.strip().endswith("%") or 2 <= float(number) <= 100
        if is_percent or number != text.strip():
            share = float(number) / (100 if is_percent else 1)
            raise ConfigError(f"{option}: {text} is no number from 0 to 1", hint=f"write {option} {share:g}")
        return text

    return change


def _one_of(others: dict[str, str]) -> Callable[[str], str]:
    return lambda text: others.get(text.strip().lower(), text)


def _precision(text: str) -> str:
    if text.strip().lower() in ("int8", "i8", "u8"):
        raise ConfigError(
            f"--precision: {text!r} is made once, beforehand",
            hint="keepbusy optimize MODEL -o fast/ --int8 --data DATA; then --model fast/MODEL-int8.xml",
        )
    return _PRECISIONS.get(text.strip().lower(), text.lower())


def _hint(text: str) -> str:
    name = text.strip().lower()
    if name in ("none", "cumulative_throughput", "ctput", "undefined"):
        raise ConfigError(
            f"--hint: {text!r} is none of the choices",
            hint="choose from latency, throughput, or leave --hint out and set --nstreams and --threads",
        )
    return _HINTS.get(name, name)


_CHANGES: dict[str, Callable[[str], str]] = {
    "--device": _device,
    "-d": _device,
    "--imgsz": _size,
    "--classes": _classes,
    "--conf": _share("--conf"),
    "--iou": _share("--iou"),
    "--precision": _precision,
    "--hint": _hint,
    "--encoder": _one_of(_ENCODERS),
    "--task": _one_of(_TASKS),
}
