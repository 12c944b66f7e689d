"""What to try against a bottleneck: only what the model and the machine can do. Pure functions."""

from __future__ import annotations

from collections.abc import Callable

from keepbusy.bench.possible import Possible

Advice = tuple[str, str]
"""What to try, in words, and the option to try it with; "" where there is none."""


def advice_for(limit: str, can: Possible, *, num_slots: int) -> Advice:
    """What to try next.

    Args:
        limit: What holds the run back: a stage, `slots` or `cores`.
        can: What model and machine can do.
        num_slots: Slots in use.
    """
    if limit == "slots":
        return "more frames in flight", f"--nireq {num_slots + 2}"
    return _OF[limit](can)


def _read(can: Possible) -> Advice:
    if can.quicker_reading:
        what = {
            "--reduce-jpegs": "decode large JPEGs at a fraction of their size (boxes move a little)",
            "--fast-decode": "decode without smoothing block edges (pictures drift a little between key frames)",
        }[can.quicker_reading]
        return f"{what}, read fewer frames, or split the work over several sources", can.quicker_reading
    return "read fewer or smaller frames, or split the work over several sources", "--stride 2"


def _preprocess(can: Possible) -> Advice:
    if can.more_preprocess_threads:
        return "lay frames out in more threads", f"--preprocess-threads {can.more_preprocess_threads}"
    if can.smaller_imgsz:
        return "make the input smaller, or give frames nearer to its size", f"--imgsz {can.smaller_imgsz}"
    return "give frames nearer to the input's size, which is fixed, or fewer", "--stride 2"


def _device(can: Possible, first: str = "") -> Advice:
    ways: list[Advice] = []
    if can.smaller_imgsz:
        ways.append(("a smaller input, which finds fewer small objects", f"--imgsz {can.smaller_imgsz}"))
    if can.can_be_int8:
        ways.append(("INT8, which is made once (keepbusy optimize --int8)", "keepbusy optimize --int8"))
    if can.other_devices:
        name = can.other_devices[0]
        ways.insert(0, (f"another device of this machine ({', '.join(can.other_devices)})", f"--device {name}"))
    if not ways:
        return (
            f"{first}a smaller model, or fewer frames: this one is quantized, takes no other input, and there is no "
            "other device here",
            "--stride 2",
        )
    return first + ", or ".join(words for words, _ in ways), ways[0][1]


def _postprocess(can: Possible) -> Advice:
    if can.higher_conf:
        return "fewer candidates: a higher confidence, or fewer classes", f"--conf {can.higher_conf}"
    return "fewer candidates: only the classes that count", "--classes"


def _sink(can: Possible) -> Advice:
    return "write less: leave the video or the window out, or write to a faster disk", "--json"


_OF: dict[str, Callable[[Possible], Advice]] = {
    "read": _read,
    "preprocess": _preprocess,
    "infer": _device,
    "postprocess": _postprocess,
    "sink": _sink,
    "cores": lambda can: _device(can, "the inference costs most of the CPU time: "),
}
