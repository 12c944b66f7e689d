"""The words of Ultralytics, YOLOv5, benchmark_app, DL Streamer and FFmpeg that people bring along.

Keys are in lower case, without dashes in front, with hyphens for underscores. Each word either means the same as
something here, or has one hint that names what does. `tests/habits_table.py` has a row for each, and
`docs/reference/habits.md` shows them.
"""

from __future__ import annotations

from keepbusy.cli.habit_kinds import MODEL, NO, SOURCE, Folder, Habit, Refuses, Says, Takes

_NO_BATCHES = Refuses(
    "frames are not put together into batches",
    "leave it out: several requests are in flight at once, --nireq says how many",
    has_value=True,
    harmless=frozenset({"1"}),
)
_NO_AUGMENTATION = Refuses(
    "there is no test-time augmentation", "leave it out; a larger --imgsz finds small objects", harmless=NO
)
_NO_TRACKER = Refuses(
    "there is no tracker in the program",
    "from Python a step can track: result.detections.to_supervision() is what trackers take",
    has_value=True,
)
_TRAINED = "train elsewhere, export with yolo export model=best.pt format=openvino, then: keepbusy detect -m best.xml"
_NEEDS_DATA = Refuses(
    "the pictures of a data set are named by --data, with its labels", "write --data coco.yaml", has_value=True
)
_PROFILE = Refuses(
    "layers are timed by another command", "keepbusy model-info MODEL --profile", harmless=frozenset({"false"})
)
_REPORTS = Refuses("reports are named by file", "write --json report.json or --html report.html", has_value=True)
_BOTH_MODES = Refuses(
    "both are measured, in turn, in every round",
    "leave it out: the table has a row for sync and one for async",
    has_value=True,
)
_PIXELS = Refuses(
    "how pixels are laid out is known from the model",
    "leave it out; keepbusy model-info MODEL tells, and a metadata.yaml beside the model corrects it",
    has_value=True,
)

WORDS: dict[str, Habit] = {
    # What is read, and by what.
    "source": Takes((SOURCE,)),
    "i": Takes((SOURCE,)),
    "input": Takes((SOURCE,)),
    "weights": Takes(("--model", MODEL)),
    "model": Takes(("--model", MODEL)),
    "m": Takes(("--model", MODEL)),
    "d": Takes(("--device",)),
    "vid-stride": Takes(("--stride",)),
    "stream-loop": Refuses("files are read again for ever, or not at all", "write --loop", has_value=True),
    "vframes": Takes(("--limit",)),
    "frames:v": Takes(("--limit",)),
    "stream": Says(),
    "stream-buffer": Refuses("files lose no frame, and cameras keep the freshest one", "leave it out", harmless=NO),
    "ss": Refuses(
        "videos are read from their beginning", "cut it: ffmpeg -ss 10 -i IN.mp4 -c copy OUT.mp4", has_value=True
    ),
    "re": Refuses("files are read as fast as they can be", "leave it out"),
    "workers": Refuses(
        "threads are named by what they do",
        "--read-threads and --preprocess-threads; by default as many as pay",
        has_value=True,
    ),
    # What counts as a detection.
    "conf-thres": Takes(("--conf",)),
    "conf-threshold": Takes(("--conf",)),
    "confidence": Takes(("--conf",)),
    "threshold": Takes(("--conf",)),
    "prob-threshold": Takes(("--conf",)),
    "iou-thres": Takes(("--iou",)),
    "iou-threshold": Takes(("--iou",)),
    "nms": Refuses("boxes are always suppressed", "--iou 1 keeps all of them", harmless=frozenset({"", "true"})),
    "agnostic": Says(("--agnostic-nms",)),
    "max-detections": Takes(("--max-det",)),
    "labels": Takes(("--names",)),
    "labels-file": Takes(("--names",)),
    "img": Takes(("--imgsz",)),
    "img-size": Takes(("--imgsz",)),
    "image-size": Takes(("--imgsz",)),
    "rect": Says(("--shape", "rect"), off=("--shape", "square")),
    "augment": _NO_AUGMENTATION,
    "visualize": Refuses("feature maps are not written", "leave it out", harmless=NO),
    "retina-masks": Says(),
    "embed": Refuses("there are no embeddings", "leave it out", has_value=True),
    # Where results go.
    "project": Folder("project", has_value=True),
    "name": Folder("name", has_value=True),
    "nosave": Folder("nosave"),
    "o": Takes(("--to", "--output")),
    "output": Takes(("--to", "--output")),
    "view-img": Says(("--show",)),
    "no-show": Says(),
    "save-csv": Refuses("there are no CSV files", "--json out.jsonl has one record per frame", harmless=NO),
    "save-frames": Refuses("a folder takes the frames of pictures", "write --save folder/", harmless=NO),
    "save-format": Refuses(
        "labels are in YOLO's format", "--save-txt FOLDER; --json FILE has boxes in pixels", has_value=True
    ),
    "line-thickness": Takes(("--line-width",)),
    "show-labels": Says(off=("--hide-labels",)),
    "show-conf": Says(off=("--hide-conf",)),
    "show-boxes": Refuses("boxes are always drawn", "leave it out", harmless=frozenset({"true", "1"})),
    "show-fps": Says(off=("--hide-throughput",)),
    "verbose": Says(off=("--quiet",)),
    "an": Says(("--no-audio",)),
    "y": Refuses("videos and records are written over without asking", "leave it out; label folders: --exist-ok"),
    "c:v": Takes(("--encoder",)),
    "vcodec": Takes(("--encoder",)),
    "r": Refuses(
        "a video keeps its frame rate and times", "leave it out; --stride N takes every n-th frame", has_value=True
    ),
    "update": Refuses("models are not changed", "leave it out"),
    # How it runs.
    "api": Takes(("--mode",)),
    "nireq": Takes(("--nireq",)),
    "infer-requests": Takes(("--nireq",)),
    "nstreams": Takes(("--nstreams",)),
    "num-streams": Takes(("--nstreams",)),
    "nthreads": Takes(("--threads",)),
    "hint": Takes(("--hint",)),
    "infer-precision": Takes(("--precision",)),
    "half": Says(("--precision", "f16")),
    "fp16": Says(("--precision", "f16")),
    "int8": Refuses(
        "a model is made INT8 once, beforehand", "keepbusy optimize MODEL -o fast/ --int8 --data DATA", harmless=NO
    ),
    "dnn": Refuses("models run on OpenVINO", "leave it out", harmless=NO),
    "shape": Takes(("--imgsz",)),
    "data-shape": Takes(("--imgsz",)),
    "cdir": Takes(("--cache-dir",)),
    "b": _NO_BATCHES,
    "batch": _NO_BATCHES,
    "batch-size": _NO_BATCHES,
    "t": Refuses(
        "a run ends with its sources",
        "--limit N reads at most N frames; keepbusy bench --seconds N measures",
        has_value=True,
    ),
    "niter": Takes(("--limit",)),
    "pc": _PROFILE,
    "pcseq": _PROFILE,
    "report-type": _REPORTS,
    "report-folder": _REPORTS,
    "json-stats": Refuses("reports are named by file", "write --json report.json"),
    "exec-graph-path": _PROFILE,
    "load-config": Refuses(
        "options are kept in profiles", "--profile FILE, which keepbusy tune writes", has_value=True
    ),
    "pin": Refuses("threads are pinned where that pays", "leave it out", has_value=True),
    "ip": _PIXELS,
    "op": _PIXELS,
    "iop": _PIXELS,
    "layout": _PIXELS,
    "mean-values": _PIXELS,
    "scale-values": _PIXELS,
    "pre-process-backend": _PIXELS,
    "inference-interval": Refuses(
        "a frame that is not inferred has no result",
        "--stride N takes every n-th frame",
        has_value=True,
        harmless=frozenset({"1"}),
    ),
    "at": Takes(("--family",)),
    "architecture-type": Takes(("--family",)),
    "optimize": Refuses(
        "a model is rewritten when it is loaded", "leave it out; --head and --shape say how", harmless=NO
    ),
    "tracker": _NO_TRACKER,
    "persist": Refuses(_NO_TRACKER.why, _NO_TRACKER.hint),
    "format": Refuses("models are not converted here", "yolo export model=best.pt format=openvino", has_value=True),
    "epochs": Refuses("models are not trained here", _TRAINED, has_value=True),
    "data": Takes(("--data", "--names")),
    "save-json": Refuses("it is named by file", "write --coco-json results.json", harmless=NO),
    "plots": Refuses("pictures go to a folder", "write --save-dir FOLDER", harmless=NO),
}
"""What every command understands, as far as it has the option."""

OF_COMMAND: dict[str, dict[str, Habit]] = {
    "bench": {
        "t": Takes(("--seconds",)),
        "api": _BOTH_MODES,
        "niter": Refuses("a measurement has a length", "--seconds N, and --rounds N", has_value=True),
    },
    "eval": {"source": _NEEDS_DATA, "i": _NEEDS_DATA, "input": _NEEDS_DATA},
}
"""What a command understands otherwise than the rest."""

_SHORT = """
i d m o y t b r re an ss at pc ip op iop api pin nireq nstreams nthreads hint shape cdir niter pcseq layout vframes
frames:v c:v vcodec infer-precision infer-requests report-type report-folder json-stats exec-graph-path load-config
mean-values scale-values data-shape stream-loop prob-threshold architecture-type
"""
SHORT = frozenset(_SHORT.split())
"""Those that have one dash: all others have two."""
