"""Small pictures of the frames that a query names, with what was found drawn on them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.batch.guard import guard_outputs
from keepbusy.batch.inputs import FETCHED, ChangedError, Opened, open_unit
from keepbusy.batch.job import Job, UnitConfig
from keepbusy.batch.manifest import Work
from keepbusy.batch.names import JobNames
from keepbusy.batch.results import Snapshot, snapshot
from keepbusy.batch.units import Unit
from keepbusy.checks import check_count, check_path
from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, FrameError, KeepbusyError, SourceError
from keepbusy.sinks.guard import pictures_and_videos
from keepbusy.sinks.naming import make_folder
from keepbusy.texts import shortened
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result

if TYPE_CHECKING:
    import pyarrow

MAX_THUMBNAILS = 200
LONG_SIDE_PX = 480

_READING = ("max_pixels",)
"""Options of the batch that say which pictures can be read at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """What has become of the frames that an answer names.

    Attributes:
        num_written: How many have a picture now.
        num_left_out: How many have none, because they cannot be read any more, or are none of the batch's.
        num_beyond: How many are behind the limit.
        reasons: Why frames were left out, by file; the first reason of each.
    """

    num_written: int
    num_left_out: int
    num_beyond: int
    reasons: Mapping[str, str]


def write_thumbnails(
    folder: str | Path, answer: pyarrow.Table, output: str | Path, *, limit: int = MAX_THUMBNAILS
) -> Thumbnails:
    """Write a small picture of each frame that an answer names.

    Frames of files that are gone, or have changed since they were done, are left out; all others are written.

    Args:
        folder: The batch's.
        answer: What `query` has given, with the columns `source` and `index`.
        output: The folder for the pictures, which are called as label files are; made if missing.
        limit: At most so many, the first rows first.

    Raises:
        ConfigError: The answer names no frames; the folder is that of a batch, or an input in it would be overwritten.
        SinkError: A picture cannot be written.
        KeepbusyError: The manifest or a shard is damaged.
    """
    check_path("`thumbnails`", output)
    check_count("limit", limit, 0, None)
    named = _named(answer)
    batch = snapshot(folder)
    guard_outputs(batch, {}, {"`thumbnails`": pictures_and_videos(Path(output), is_deep=True)})
    wanted: dict[str, set[int]] = {}
    for source, index in named[:limit]:
        wanted.setdefault(source, set()).add(index)
    reasons: dict[str, str] = {}
    num_written = 0
    make_folder(Path(output))
    with tempfile.TemporaryDirectory(prefix="keepbusy-") as fetched:
        (Path(fetched) / FETCHED).mkdir()
        given = batch.state.settings["given"].get("options", {})
        options = {name: given[name] for name in _READING if name in given}
        job = Job(Path(fetched), Path(), "CPU", None, SelectConfig(), UnitConfig(frames=None), options)
        names = JobNames(batch.entries)
        for work in batch.works:
            found = _results(batch, work, wanted)
            for frame in _frames(work.unit, found, job, reasons):
                _write(Path(output) / f"{names.frame_stem(frame)}.jpg", frame, found[frame.source, frame.index])
                wanted[frame.source].discard(frame.index)
                num_written += 1
    left = {source: indices for source, indices in wanted.items() if indices}
    for source, indices in left.items():
        reasons.setdefault(source, f"the batch has no frame {min(indices)} of it")
    return Thumbnails(
        num_written=num_written,
        num_left_out=sum(map(len, left.values())),
        num_beyond=len(named[limit:]),
        reasons={source: reasons[source] for source in left},
    )


def _named(answer: pyarrow.Table) -> list[tuple[str, int]]:
    """The frames that an answer names, each once, in its order. Rows that have none are passed over."""
    columns = getattr(answer, "column_names", ())  # Somebody may give what is no table.
    if not {"source", "index"} <= set(columns):
        raise ConfigError("query: names no frames", hint="select `source` and `index`, too")
    sources, indices = (answer.column(columns.index(name)).to_pylist() for name in ("source", "index"))
    found: dict[tuple[str, int], None] = {}
    for source, index in zip(sources, indices, strict=True):
        if source is not None and index is not None:
            found[_source(source), _index(index)] = None
    return list(found)


def _source(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ConfigError(f"query: `source` has {_shown(value)}, which is no file's name", hint=_COLUMNS_HINT)


def _index(value: Any) -> int:
    is_whole = (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
        or (isinstance(value, Decimal) and value == value.to_integral_value())
    )
    if not is_whole:
        raise ConfigError(f"query: `index` has {_shown(value)}, which is no frame's number", hint=_COLUMNS_HINT)
    return int(value)


_COLUMNS_HINT = "select the columns `source` and `index` as the tables have them"


def _shown(value: Any) -> str:
    return shortened(repr(value), 40)


def _results(batch: Snapshot, work: Work, wanted: Mapping[str, set[int]]) -> dict[tuple[str, int], Result]:
    """The results of a unit that are wanted, by the frames' names."""
    if not any(wanted.get(file.name) for file in work.unit.files):
        return {}
    some = (result for result in batch.results_in(work) if result.frame.index in wanted.get(result.frame.source, ()))
    return {(result.frame.source, result.frame.index): result for result in some}


def _frames(unit: Unit, found: Mapping[tuple[str, int], Result], job: Job, reasons: dict[str, str]) -> Iterator[Frame]:
    """The frames of a unit that are wanted, named as in the tables; why others cannot be read is added to `reasons`."""
    wanted = {source for source, _ in found}
    if unit.kind == "pictures":
        unit = dataclasses.replace(unit, files=tuple(file for file in unit.files if file.name in wanted))
    while wanted and unit.files:
        try:
            opened = open_unit(unit, job)
        except ChangedError as error:
            changed = {entry.name for entry in error.entries}
            reasons.update(dict.fromkeys(changed, "has changed since; the same batch command does it again"))
            unit = dataclasses.replace(unit, files=tuple(file for file in unit.files if file.name not in changed))
            continue
        except SourceError as error:
            reasons.update(dict.fromkeys(wanted, error.message))
            return
        try:
            yield from _read(opened, unit, found, reasons)
        finally:
            opened.close()
        return


def _read(
    opened: Opened, unit: Unit, found: Mapping[tuple[str, int], Result], reasons: dict[str, str]
) -> Iterator[Frame]:
    is_video = unit.kind == "video"
    indices = {index for _, index in found} if is_video else set(range(len(unit.files)))
    for index in range(0 if unit.part is None else unit.part.first_index, max(indices) + 1):
        name = unit.files[0 if is_video else index].name
        try:
            if index not in indices:
                if not opened.source.skip():
                    break
                continue
            frame = opened.source.read()
            if frame is None:
                break
            own = frame.index if is_video else 0
            if (name, own) in found:
                yield Frame(frame.picture, own, frame.timestamp_s, 0, name)
        except KeepbusyError as error:
            reasons.setdefault(name, error.reason if isinstance(error, FrameError) else error.message)
            if not isinstance(error, FrameError) or error.is_last:
                return
    else:
        return
    reasons.setdefault(unit.files[0].name, "ends before it did")


def _write(path: Path, frame: Frame, result: Result) -> None:
    from keepbusy.drawing.write import write_image  # Loads OpenCV.

    assert frame.image is not None  # nosec B101 # for mypy: it was read
    make_folder(path.parent)
    write_image(path, _small(result.detections.plot(frame.image)), replaces=True)


def _small(picture: Image) -> Image:
    import cv2

    scale = LONG_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small: Image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return small
