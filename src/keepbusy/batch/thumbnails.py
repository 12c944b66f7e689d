"""Small pictures of the frames that a query names, with what was found drawn on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.batch.inputs import open_unit
from keepbusy.batch.job import Job, UnitConfig
from keepbusy.batch.queries import asked, connected
from keepbusy.batch.results import result_of, state_of
from keepbusy.batch.units import Unit
from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, FrameError
from keepbusy.sinks.naming import OutputNames, make_folder
from keepbusy.values.frame import Frame, Image

if TYPE_CHECKING:
    import pyarrow

MAX_THUMBNAILS = 200
LONG_SIDE_PX = 480


def write_thumbnails(
    folder: str | Path, answer: pyarrow.Table, output: str | Path, *, limit: int = MAX_THUMBNAILS
) -> int:
    """Write a small picture of each frame that an answer names; how many were written.

    Args:
        folder: The batch's.
        answer: What `query` has given, with the columns `source` and `index`.
        output: The folder for the pictures; made if missing.
        limit: At most so many, the first rows first.

    Raises:
        ConfigError: The answer names no frames.
        SourceError: A file cannot be opened any more.
        SinkError: A picture cannot be written.
    """
    from keepbusy.drawing.write import write_image  # Loads OpenCV.

    if not {"source", "index"} <= set(answer.column_names):
        raise ConfigError("query: names no frames", hint="select `source` and `index`, too")
    wanted: dict[str, set[int]] = {}
    for row in answer.slice(0, limit).select(["source", "index"]).to_pylist():
        wanted.setdefault(row["source"], set()).add(row["index"])
    place, state = state_of(folder)
    units = [work.unit for work in state.work.values() if work.state == "done"]
    job = Job(place, Path(), "CPU", None, SelectConfig(), UnitConfig(frames=None), {})
    make_folder(Path(output))
    names, num_written = OutputNames(), 0
    with connected(folder) as connection:
        for unit in units:
            for frame in _frames(unit, wanted, job):
                found = _rows(connection, frame)
                result = result_of(*found, tuple(state.settings["facts"]["names"]))
                assert frame.image is not None  # nosec B101 # for mypy: it was read
                picture = _small(result.detections.plot(frame.image))
                write_image(Path(output) / f"{names.frame_stem(frame)}.jpg", picture, replaces=True)
                num_written += 1
    return num_written


def _frames(unit: Unit, wanted: Mapping[str, set[int]], job: Job) -> Iterator[Frame]:
    """The frames of a unit that are wanted, named as in the tables."""
    places = [number for number, file in enumerate(unit.files) if file.name in wanted]
    if not places:
        return
    indices = set(places) if unit.kind == "pictures" else wanted[unit.files[0].name]
    if unit.part is not None:
        first, end = unit.part.first_index, unit.part.first_index + unit.part.num_frames
        indices = {index for index in indices if first <= index < end}
    if not indices:
        return
    opened = open_unit(unit, job)
    try:
        index = 0 if unit.part is None else unit.part.first_index
        while index <= max(indices):
            try:
                frame = opened.source.read() if index in indices else None
                if (index in indices and frame is None) or (frame is None and not opened.source.skip()):
                    return
            except FrameError:
                frame = None
            if frame is not None:
                name = unit.files[frame.index if unit.kind == "pictures" else 0].name
                own = 0 if unit.kind == "pictures" else frame.index
                yield Frame(frame.picture, own, frame.timestamp_s, 0, name)
            index += 1
    finally:
        opened.close()


def _rows(connection: Any, frame: Frame) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    source = frame.source.replace("'", "''")
    where = f"WHERE source = '{source}' AND index = {frame.index}"
    (about,) = asked(connection, f"SELECT * FROM frames {where}").to_pylist()  # nosec B608
    return about, asked(connection, f"SELECT * FROM detections {where}").to_pylist()  # nosec B608


def _small(picture: Image) -> Image:
    import cv2

    scale = LONG_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small: Image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return small
