"""What is scored: pictures or scenes, with their truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import SourceError
from keepbusy.sources.base import Source
from keepbusy.sources.images import ImageFiles
from keepbusy.values.frame import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The truth of one frame.

    Attributes:
        boxes_xyxy: float64 (N, 4), pixels of the frame: left, top, right, bottom.
        class_id: int64 (N,), the data's own numbering, from 0.
        is_crowd: bool (N,): a region of many objects, in which detections are neither right nor wrong.
        area_px: float64 (N,), square pixels: what an object's size is judged by.
    """

    boxes_xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    area_px: NDArray[np.float64]

    @classmethod
    def of_boxes(cls, boxes_xyxy: NDArray[np.float64], class_id: NDArray[np.int64]) -> Labels:
        """Truth that knows no more than its boxes."""
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        return cls(boxes_xyxy, class_id, np.zeros(len(class_id), np.bool_), sides[:, 0] * sides[:, 1])


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture with its truth.

    Attributes:
        path: The file.
        image_id: What results call it.
        boxes_xyxy: float64 (N, 4): shares of the picture (YOLO), or pixels where `size_wh` is known (COCO).
        class_id: int64 (N,), the data's own numbering, from 0.
        label_file: The file that its truth stands in.
        number: int64 (N,): each object's place in it; or object (N,), what messages call each.
        number_prefix: What stands between the file and that number in a message.
        size_wh: Width and height that the data says it has, pixels; None where it does not say.
        is_crowd: bool (N,); None where the data knows no crowds.
        area_px: float64 (N,), square pixels; None for the boxes' own.
    """

    path: Path
    image_id: int | str
    boxes_xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    label_file: Path
    number: NDArray[np.int64] | NDArray[np.object_]
    number_prefix: str = ":"
    size_wh: tuple[int, int] | None = None
    is_crowd: NDArray[np.bool_] | None = None
    area_px: NDArray[np.float64] | None = None

    def labels(self, frame: Frame) -> Labels:
        """The truth in the pixels of the frame that was read.

        Raises:
            SourceError: The picture has not the size that the data says.
        """
        if self.size_wh is None:
            scale = np.array([frame.width, frame.height] * 2, np.float64)
            return Labels.of_boxes(self.boxes_xyxy * scale, self.class_id)
        if self.size_wh != (frame.width, frame.height):
            raise SourceError(
                f"{self.path}: is {frame.width}x{frame.height} pixels, and {self.size_wh[0]}x{self.size_wh[1]} in "
                f"{self.label_file}",
                hint="the boxes belong to a picture of another size: give the pictures that were labelled",
            )
        labels = Labels.of_boxes(self.boxes_xyxy, self.class_id)
        is_crowd = labels.is_crowd if self.is_crowd is None else self.is_crowd
        area_px = labels.area_px if self.area_px is None else self.area_px
        return Labels(labels.boxes_xyxy, labels.class_id, is_crowd, area_px)


class Dataset(Protocol):
    """Frames with their truth.

    Attributes:
        name: As the user gave it.
        class_names: Names by class id; () where the data does not say.
        category_ids: By class id, the id that results are written with.
        notes: What a person should know of the data before trusting a score, one sentence each.
    """

    name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int | str, ...]
    notes: tuple[str, ...]

    def open(self, *, max_pixels: int = MAX_PIXELS) -> Source:
        """The frames; each one's `index` is what the methods below take.

        Args:
            max_pixels: As for `open_source`.
        """
        ...

    def labels(self, frame: Frame) -> Labels:
        """The truth of a frame that was read from `open()`.

        Raises:
            SourceError: The frame is not the one that was labelled.
        """
        ...

    def image_id(self, index: int) -> int | str:
        """What results call a frame."""
        ...

    def objects(self) -> Iterator[tuple[int, str]]:
        """Class id and place (`file:line`) of each object that is known before frames are read."""
        ...


class Pictures:
    """Picture files with their truth: what YOLO's and COCO's formats have in common.

    Args:
        name: As the user gave it.
        pictures: At least one.
        class_names: Names by class id; () where the data does not say.
        category_ids: By class id, the id that results are written with; () for the class ids themselves.
        notes: What a person should know of the data.
    """

    def __init__(
        self,
        name: str,
        pictures: Sequence[Picture],
        class_names: tuple[str, ...],
        category_ids: tuple[int | str, ...] = (),
        notes: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.class_names = class_names
        self.category_ids = category_ids
        self.notes = tuple(notes)
        self.pictures = tuple(pictures)

    def open(self, *, max_pixels: int = MAX_PIXELS) -> Source:
        return ImageFiles([picture.path for picture in self.pictures], self.name, max_pixels=max_pixels)

    def labels(self, frame: Frame) -> Labels:
        return self.pictures[frame.index].labels(frame)

    def image_id(self, index: int) -> int | str:
        return self.pictures[index].image_id

    def objects(self) -> Iterator[tuple[int, str]]:
        for picture in self.pictures:
            for class_id, number in zip(picture.class_id.tolist(), picture.number.tolist(), strict=True):
                yield class_id, f"{picture.label_file}{picture.number_prefix}{number}"
