"""Shards → the results that they were made of, without pictures: for all that takes results, such as sinks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from keepbusy.batch.folder import existing_folder
from keepbusy.batch.manifest import JobState, Work, read_manifest
from keepbusy.batch.schema import arrow
from keepbusy.batch.shards import is_whole, shard_path
from keepbusy.batch.units import Entry
from keepbusy.checks import check_path
from keepbusy.errors import FrameError, KeepbusyError, reason_of
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.masks import Masks, spread
from keepbusy.values.result import Result, Timings

_ROWS_AT_ONCE = 4096

_THREADS = 4
"""Shards that are compared with their checksums at once: about a second for each gigabyte and thread."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Masks of which only the outlines are kept.

    Attributes:
        parts: The outlines of each: int32 (P, 2), x and y in pixels.
        frame_hw: The frame's (height, width), pixels.
    """

    parts: Sequence[list[NDArray[np.int32]]]
    frame_hw: tuple[int, int]

    def __len__(self) -> int:
        return len(self.parts)

    def take(self, indices: Sequence[int]) -> Outlines:
        """Some of them, in the order of the indices."""
        return Outlines([self.parts[index] for index in indices], self.frame_hw)

    def polygons(self, index: int) -> list[NDArray[np.int32]]:
        """The outlines of one mask, largest area first."""
        return self.parts[index]

    def crop(self, index: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One mask, without its holes: bool (h, w), and the pixel (x, y) of its top left corner in the frame."""
        import cv2

        parts = self.parts[index]
        if not parts:
            return np.zeros((0, 0), np.bool_), (0, 0)
        points = np.concatenate(parts)
        left, top = points.min(axis=0).tolist()
        right, bottom = points.max(axis=0).tolist()
        mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
        # One by one: where two overlap, filling them together would leave a hole.
        for part in parts:
            cv2.fillPoly(mask, [part - np.array([left, top], np.int32)], 1)
        return mask.astype(np.bool_), (left, top)

    def to_array(self) -> NDArray[np.bool_]:
        """All masks at the frame's size: bool (N, H, W)."""
        return spread(map(self.crop, range(len(self))), len(self), self.frame_hw)


def state_of(folder: str | Path) -> tuple[Path, JobState]:
    """A batch's folder and what its manifest says.

    Raises:
        ConfigError: There is no batch in the folder.
        KeepbusyError: Its manifest is damaged, or from a newer version.
    """
    place = existing_folder(folder)
    state = read_manifest(place)
    if state is None:
        raise KeepbusyError(f"{folder}: its manifest is gone")
    return place, state


def damaged_works(place: Path, works: Sequence[Work]) -> dict[int, Work]:
    """The units, by their numbers, whose shards are not those that were written, to the last byte.

    Args:
        place: The batch's folder.
        works: Units that are done.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="keepbusy-check") as executor:
        are_whole = executor.map(lambda work: is_whole(place, work.shard, work.files, reads_all=True), works)
        return {work.unit.id: work for work, is_one in zip(works, are_whole, strict=True) if not is_one}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The units of a batch that were done at one moment: what is read from it does not change while the batch goes on.

    Attributes:
        place: The batch's folder.
        state: What its manifest said.
        works: The units that were done, in the job's order.
    """

    place: Path
    state: JobState
    works: tuple[Work, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's classes."""
        return tuple(self.state.settings["facts"]["names"])

    @property
    def num_frames(self) -> int:
        """How many frames were done."""
        return sum(work.num_frames for work in self.works)

    @property
    def entries(self) -> Iterator[Entry]:
        """The files of the whole job; those of a video's ranges come again and again."""
        return (entry for work in self.state.work.values() for entry in work.unit.files)

    def check(self) -> None:
        """See that the shards are those that were written, to the last byte.

        A file's time does not tell of a bit that a disk has lost, and DuckDB passes over Parquet's own checksums.

        Raises:
            KeepbusyError: One is damaged or gone.
        """
        damaged = list(damaged_works(self.place, self.works).values())
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise KeepbusyError(
                f"{self.place}: the shard of {damaged[0].unit.name}{more} is damaged or gone",
                hint="the same batch command does it again",
            )

    def results(self) -> Iterator[Result]:
        """All results, unit by unit, without pictures.

        Raises:
            KeepbusyError: A shard is damaged.
        """
        for work in self.works:
            yield from self.results_in(work)

    def results_in(self, work: Work) -> Iterator[Result]:
        """The results of one unit.

        Raises:
            KeepbusyError: Its shard is damaged.
        """
        names = self.class_names
        found = _rows(self.place, "detections", work.shard)
        waiting = next(found, None)
        for row in _rows(self.place, "frames", work.shard):
            own: list[Mapping[str, Any]] = []
            while waiting is not None and (waiting["source"], waiting["index"]) == (row["source"], row["index"]):
                own.append(waiting)
                waiting = next(found, None)
            yield _result_of(row, own, names)


def snapshot(folder: str | Path) -> Snapshot:
    """What a batch has at this moment.

    Raises:
        ConfigError: There is no batch in the folder, or it is none.
        KeepbusyError: Its manifest or a shard is damaged.
    """
    check_path("the batch", folder)
    place, state = state_of(folder)
    found = Snapshot(place, state, tuple(work for work in state.work.values() if work.state == "done"))
    found.check()
    return found


def results_of(folder: str | Path) -> Iterator[Result]:
    """The results of a batch, unit by unit, without pictures.

    Their JSON records are those that `keepbusy detect` writes, but for the numbers of streams.

    Args:
        folder: The batch's.

    Raises:
        ConfigError: There is no batch in the folder.
        KeepbusyError: Its manifest or a shard is damaged.
    """
    yield from snapshot(folder).results()


def _result_of(row: Mapping[str, Any], found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Result:
    """The result that a row of `frames`, and the rows of `detections` that belong to it, were made of."""
    hw = (row["height"], row["width"])
    seconds = row["timestamp_s"]
    frame = Frame(None, row["index"], float(seconds or 0.0), 0, row["source"], hw)
    error = row["error"]
    failed = None
    if error is not None:
        failed = FrameError(
            error["message"],
            stage=error["stage"],
            source=row["source"],
            frame_index=row["index"],
            timestamp_s=seconds,
            shape_hw=hw,
        )
    return Result(frame, _detections(row, found, names, hw), Timings(), failed)


def _detections(
    row: Mapping[str, Any], found: Sequence[Mapping[str, Any]], names: Sequence[str], hw: tuple[int, int]
) -> Detections:
    if row["probabilities"] is not None:
        probabilities = np.zeros(len(names), np.float32)
        for one in row["probabilities"]:
            probabilities[one["class_id"]] = one["probability"]
        none = np.empty(0)
        return Detections(
            none.reshape(0, 4).astype(np.float32),
            none.astype(np.float32),
            none.astype(np.int64),
            names,
            probabilities=probabilities,
            frame_hw=hw,
        )
    masks = None
    if found and found[0]["segmentation"] is not None:
        masks = Outlines(
            [[np.array(part, np.int32).reshape(-1, 2) for part in one["segmentation"]] for one in found], hw
        )
    return Detections(
        np.array([one["box_xyxy"] for one in found], np.float32).reshape(-1, 4),
        np.array([one["confidence"] for one in found], np.float32),
        np.array([one["class_id"] for one in found], np.int64),
        names,
        masks=cast("Masks | None", masks),
        keypoints=_array(found, "keypoints", np.float32),
        boxes_xywhr=_array(found, "box_xywhr", np.float32),
        track_id=_array(found, "track_id", np.int64),
        frame_hw=hw,
    )


def _array(found: Sequence[Mapping[str, Any]], name: str, dtype: Any) -> Any:
    return np.array([one[name] for one in found], dtype) if found and found[0][name] is not None else None


def _rows(place: Path, table: str, shard: str) -> Iterator[Mapping[str, Any]]:
    pa = arrow()
    path = shard_path(place, table, shard)
    try:
        with pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise KeepbusyError(
            f"{path}: is damaged: {reason_of(error)}", hint="the same batch command does it again"
        ) from error
