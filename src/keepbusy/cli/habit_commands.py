"""The command that is meant: `keepbusy predict`, `keepbusy val`, `keepbusy task=detect mode=predict ...`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from keepbusy.errors import ConfigError

SAME = {
    **{"predict": "detect", "detect.py": "detect", "infer": "detect", "inference": "detect", "run": "detect"},
    **{"val": "eval", "val.py": "eval", "validate": "eval", "evaluate": "eval"},
    **{"benchmark": "bench", "benchmark_app": "bench", "benchmark.py": "bench", "benchmarks": "bench"},
    **{"model_info": "model-info", "info": "model-info"},
}
"""Commands of other programs that are commands here."""

TASKS = ("segment", "pose", "obb", "classify")
"""Ultralytics has a command for each task; `detect` is one here as well."""

_STEP = "a step of your own does: docs/guides/extend.md; its trackers take result.detections.to_supervision()"


class _No(NamedTuple):
    why: str
    hint: str


_OTHERWISE = {
    "export": _No(
        "models are not converted here",
        "yolo export model=best.pt format=openvino makes one; `keepbusy optimize MODEL -o fast/ --data DATA` makes a "
        "model in OpenVINO IR or ONNX quicker",
    ),
    "track": _No("there is no tracker in the program", f"keepbusy detect finds what there is per frame, and {_STEP}"),
    "train": _No("models are not trained here", "train elsewhere, then: yolo export model=best.pt format=openvino"),
    "quantize": _No("it is an option of another command", "keepbusy optimize MODEL -o fast/ --int8 --data DATA"),
    "compress": _No("it is an option of another command", "keepbusy optimize MODEL -o fast/ --int8 --data DATA"),
    "convert": _No(
        "ONNX and OpenVINO IR are read as they are", "keepbusy detect SOURCE --model best.onnx; PyTorch's: yolo export"
    ),
    "checks": _No("what is here is told by other commands", "keepbusy devices, keepbusy --version"),
    "version": _No("it is an option", "keepbusy --version"),
    "help": _No("it is an option", "keepbusy --help, keepbusy COMMAND --help"),
    "settings": _No("there are no settings but options", "keepbusy detect --profile FILE keeps options in a file"),
    "cfg": _No("there are no settings but options", "keepbusy detect --profile FILE keeps options in a file"),
    "solutions": _No("there are no ready applications", "keepbusy detect --json - gives records to count with"),
    "profile": _No("layers are timed by another command", "keepbusy model-info MODEL --profile"),
    "compare": _No("it depends on what", "keepbusy verify compares what is found, keepbusy bench --compare speeds"),
    "list": _No("it depends on of what", "keepbusy models lists models, keepbusy devices lists devices"),
    "gvadetect": _No("pipelines are not written as elements", "keepbusy detect SOURCE --model MODEL --to out.jsonl"),
    "gst-launch-1.0": _No(
        "pipelines are not written as elements", "keepbusy detect SOURCE --model MODEL --to out.jsonl"
    ),
}

_MODES = {"predict": "detect", "val": "eval", "benchmark": "bench"}
_KEY = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)


def meant(words: Sequence[str], commands: Sequence[str]) -> list[str]:
    """A command line whose first word is a command of keepbusy, where that is what is meant.

    Args:
        words: The command line, options of the program itself left out.
        commands: keepbusy's commands.

    Raises:
        ConfigError: The first word is a command of another program that there is not.
    """
    words = list(words)
    if words and words[0] in ("yolo", "keepbusy"):
        words = words[1:]
    if words and _KEY.fullmatch(words[0]) and not os.path.lexists(words[0]):
        return _from_keys(words)
    first = words[0] if words else ""
    if first in TASKS and first not in commands:
        return _of_task(first, words[1:])
    if first == "detect" and len(words) > 1 and not os.path.lexists(words[1]):
        # `yolo detect predict`: a task and a mode.
        if words[1] in _MODES:
            return [_MODES[words[1]], *words[2:]]
        if words[1] in ("train", "export", "track"):
            raise refused(words[1])
    if first in commands:
        return words
    if first in SAME:
        return [SAME[first], *words[1:]]
    if first in _OTHERWISE and not os.path.lexists(first):
        raise refused(first)
    return words


def refused(word: str) -> ConfigError:
    """Why there is no such command, and what there is."""
    why, hint = _OTHERWISE[word]
    return ConfigError(f"keepbusy {word}: {why}", hint=hint)


def _of_task(task: str, words: list[str]) -> list[str]:
    mode = "detect"
    if words and words[0] in (*_MODES, "train", "export", "track"):
        if words[0] not in _MODES:
            raise refused(words[0])
        mode, words = _MODES[words[0]], words[1:]
    return [mode, *([] if mode == "bench" else ["--task", task]), *words]


def _from_keys(words: list[str]) -> list[str]:
    """`task=detect mode=predict model=...`: the mode is the command."""
    mode, rest = "detect", []
    for word in words:
        match = _KEY.fullmatch(word)
        if match is not None and match[1] == "mode" and match[2] not in ("sync", "async"):
            if match[2] in _OTHERWISE:
                raise refused(match[2])
            if match[2] not in _MODES:
                raise ConfigError(
                    f"{word}: there is no such mode", hint="write keepbusy detect, keepbusy eval or keepbusy bench"
                )
            mode = _MODES[match[2]]
        else:
            rest.append(word)
    if mode == "bench":
        rest = [word for word in rest if not word.startswith("task=")]
    return [mode, *rest]
