"""What an unknown word is likely to mean: by its meaning first, by its letters where it is a slip of the keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

_SLIP = 0.82
"""Two words this alike (difflib's ratio) are one word with a slip in it: `--cnof`, `detct`."""

_OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("thres", "thresh", "threshold", "confidence", "score", "min-conf", "prob"), ("--conf",)),
    **dict.fromkeys(("nms", "overlap", "iou"), ("--iou",)),
    **dict.fromkeys(("top", "topk", "most", "max-boxes", "detections"), ("--max-det",)),
    **dict.fromkeys(("class", "only", "filter", "labels", "categories"), ("--classes", "--names")),
    **dict.fromkeys(("roi", "zone", "polygon", "crop-region", "area", "mask"), ("--region",)),
    **dict.fromkeys(("weights", "network", "checkpoint", "onnx", "xml"), ("--model", "MODEL")),
    **dict.fromkeys(
        (
            "source",
            "video",
            "image",
            "images",
            "picture",
            "camera",
            "webcam",
            "cam",
            "rtsp",
            "url",
            "file",
            "path",
            "input",
        ),
        ("SOURCE", "--data"),
    ),
    **dict.fromkeys(("resolution", "width", "height", "resize", "dim", "size", "imgsize"), ("--imgsz",)),
    **dict.fromkeys(("gpu", "cpu", "npu", "cuda", "accelerator", "target"), ("--device",)),
    **dict.fromkeys(("csv", "results", "jsonl", "records", "predictions", "xml-out"), ("--json", "--save-dir")),
    **dict.fromkeys(
        ("out", "outdir", "output", "export", "write", "dest", "destination", "save-path", "folder", "directory"),
        ("--to", "--output", "--save-dir", "--save", "--json"),
    ),
    **dict.fromkeys(("annotated", "annotate", "draw", "render", "record", "mp4"), ("--save",)),
    **dict.fromkeys(("crops", "cutouts"), ("--save-crop",)),
    **dict.fromkeys(("txt", "yolo-labels"), ("--save-txt",)),
    **dict.fromkeys(("view", "display", "window", "gui", "imshow", "live", "preview"), ("--show",)),
    **dict.fromkeys(("fps", "throughput-stamp", "stamp", "watermark"), ("--hide-throughput", "--stride")),
    **dict.fromkeys(("thickness", "linewidth", "line"), ("--line-width",)),
    **dict.fromkeys(("audio", "sound", "mute"), ("--no-audio",)),
    **dict.fromkeys(("codec", "bitrate", "crf", "fourcc"), ("--encoder",)),
    **dict.fromkeys(("silent", "noisy", "log", "progress", "loglevel"), ("--quiet", "--debug")),
    **dict.fromkeys(("traceback", "trace-back", "stacktrace"), ("--debug",)),
    **dict.fromkeys(("timeline", "perfetto", "chrome"), ("--trace", "--plot")),
    **dict.fromkeys(("skip", "every", "step", "interval", "frame-skip", "sample"), ("--stride",)),
    **dict.fromkeys(("frames", "num", "count", "first", "max-frames", "duration"), ("--limit", "--frames")),
    **dict.fromkeys(("repeat", "forever", "endless"), ("--loop", "--rounds")),
    **dict.fromkeys(("iterations", "runs", "repetitions", "reps"), ("--rounds",)),
    **dict.fromkeys(("time", "secs", "sec"), ("--seconds", "--limit")),
    **dict.fromkeys(("timeout", "hang"), ("--device-timeout",)),
    **dict.fromkeys(("requests", "queue", "depth", "inflight", "parallel", "concurrency"), ("--nireq",)),
    **dict.fromkeys(("streams",), ("--nstreams",)),
    **dict.fromkeys(("cores", "jobs", "cpus"), ("--threads",)),
    **dict.fromkeys(("async", "sync", "blocking"), ("--mode",)),
    **dict.fromkeys(("performance", "latency", "throughput"), ("--hint",)),
    **dict.fromkeys(("dtype", "quant", "bf16", "fp32", "float16"), ("--precision",)),
    **dict.fromkeys(("letterbox", "pad", "stretch", "aspect"), ("--shape",)),
    **dict.fromkeys(("ignore-errors", "continue", "keep-going", "errors"), ("--on-error",)),
    **dict.fromkeys(("type", "kind", "architecture", "yolov8", "yolov5"), ("--family", "--task")),
    **dict.fromkeys(("cache", "tmp"), ("--cache-dir",)),
    **dict.fromkeys(("overwrite", "replace", "yes"), ("--exist-ok", "--force")),
    **dict.fromkeys(("dataset", "annotations", "ground-truth", "gt", "coco", "yaml"), ("--data",)),
    **dict.fromkeys(("classnames", "label-map", "class-names"), ("--names",)),
    **dict.fromkeys(("tolerance", "accuracy", "drop"), ("--max-drop", "--min-matched", "--fail-under")),
    **dict.fromkeys(("report", "html"), ("--html", "--json")),
}

_COMMANDS: dict[str, str] = {
    **dict.fromkeys(("measure", "speed", "fps", "latency", "throughput", "perf", "timing", "bottleneck"), "bench"),
    **dict.fromkeys(("accuracy", "map", "score", "metrics", "test", "coco"), "eval"),
    **dict.fromkeys(("search", "autotune", "best", "configure", "calibrate-options"), "tune"),
    **dict.fromkeys(("int8", "prune", "faster", "nncf", "pot"), "optimize"),
    **dict.fromkeys(("camera", "webcam", "video", "image", "stream", "detections", "process", "start"), "detect"),
    **dict.fromkeys(("hardware", "gpu", "npu", "gpus", "device"), "devices"),
    **dict.fromkeys(("download", "zoo", "model", "weights", "pull"), "models"),
    **dict.fromkeys(("inspect", "describe", "summary", "show-model", "graph"), "model-info"),
    **dict.fromkeys(("check", "prove", "diff", "equal"), "verify"),
    **dict.fromkeys(("example", "tour", "quickstart", "hello"), "demo"),
}


def meant_option(word: str, options: Mapping[str, Iterable[str]], command: str) -> list[str]:
    """What an unknown option is likely to mean in a command, the likeliest first; [] where nothing is.

    Args:
        word: As it was given, `--min_score`.
        options: The command's own options and arguments → the words of their help.
        command: The command, which its own words are not looked for in.
    """
    name = word.strip("-").partition("=")[0].lower().replace("_", "-")
    by_letters = {option.lstrip("-"): option for option in options if option.startswith("--")}
    slips = [other for other in by_letters if sorted(other) == sorted(name)]
    slips = slips or difflib.get_close_matches(name, by_letters, 1, _SLIP)
    if slips:
        return [by_letters[slips[0]]]
    parts = list(dict.fromkeys((name, *name.split("-"), name.removesuffix("s"))))
    found = [f"--{part}" for part in parts if f"--{part}" in options]
    for part in parts:
        found += [option for option in _OPTIONS.get(part, ()) if option in options and option not in found]
    if found:
        return found[:2]
    telling = {part for part in parts if len(part) > 3}
    return [option for option, told in options.items() if option.startswith("--") and telling & set(told)][:2]


def meant_command(word: str, commands: Sequence[str]) -> str:
    """The command that an unknown one is likely to mean; "" where none is."""
    name = word.lower().replace("_", "-").strip("-")
    for part in (name, *name.split("-"), name.removesuffix("s")):
        if part in _COMMANDS:
            return _COMMANDS[part]
    near = difflib.get_close_matches(name, commands, 1, 0.7)
    return near[0] if near else ""


def words_of(text: str) -> frozenset[str]:
    """The words of an option's help."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))
