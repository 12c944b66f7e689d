"""What is in a shard: two tables for each unit of work, with the names, units and roundings of the JSON records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keepbusy.errors import MissingExtraError

if TYPE_CHECKING:
    import pyarrow

SCHEMA_VERSION = 1
"""Of the tables. It rises when a column is taken away or means something else; a new column leaves it as it is."""

TABLES = ("detections", "frames")

TIMINGS = ("read_ms", "preprocess_ms", "infer_ms", "postprocess_ms", "latency_ms")
"""Columns of `frames` that differ from run to run. All others are the same whenever a unit is done again."""


def arrow() -> Any:
    """PyArrow, with its Parquet module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a batch", extra="batch") from error
    return pyarrow


def schemas() -> dict[str, pyarrow.Schema]:
    """The columns of both tables, in their order.

    `detections` has a row for each detection, `frames` a row for each frame, in the order of the frames. A frame is
    named by `source` and `index` in both.

    Numbers are doubles that hold what the JSON records say, to the last digit: as floats 0.277 would come back as
    0.2770000100135803. Compressed, boxes take about a tenth more room than as floats, and rounded timings half as much.
    """
    pa = arrow()
    number, text = pa.float64(), pa.string()
    numbers = pa.list_(number)
    frame = [("source", text), ("index", pa.int64()), ("timestamp_s", pa.float64())]
    found = [
        ("class_id", pa.int32()),
        ("name", text),
        ("confidence", number),
        ("box_xyxy", numbers),
        ("track_id", pa.int64()),
        ("box_xywhr", numbers),
        ("keypoints", pa.list_(numbers)),
        ("segmentation", pa.list_(pa.list_(pa.int32()))),
    ]
    probability = pa.struct([("class_id", pa.int32()), ("name", text), ("probability", number)])
    about = [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("num_detections", pa.int32()),
        ("error", pa.struct([("stage", text), ("message", text)])),
        ("probabilities", pa.list_(probability)),
    ]
    return {
        "detections": pa.schema([*frame, *found]),
        "frames": pa.schema([*frame, *about, *((name, number) for name in TIMINGS)]),
    }
