"""What was found in one frame."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.checks import is_whole
from keepbusy.errors import ConfigError, MissingExtraError
from keepbusy.texts import shortened
from keepbusy.values.arrays import DetectionArrays
from keepbusy.values.foreign_words import OF_DETECTIONS, no_attribute
from keepbusy.values.misuse import explained, is_path, of_crops, of_plot, of_save, writes_no_file, written
from keepbusy.values.summary import summary_of

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]
    import supervision

    from keepbusy.values.frame import Image


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections(DetectionArrays):
    """What was found in one frame, most confident first.

    Attributes:
        boxes_xyxy: float32 (N, 4), pixels of the original frame: left, top, right, bottom, clipped to it.
        confidence: float32 (N,), 0 to 1.
        class_id: int64 (N,), index into `names`.
        names: The model's class names.
        masks: For instance segmentation: one mask a detection.
        keypoints: For poses: float32 (N, K, 3): x and y in pixels of the frame, and confidence 0 to 1 (1 where the
            model has none).
        boxes_xywhr: For rotated boxes: float32 (N, 5): centre, width, height in pixels of the frame, and the angle in
            radians, clockwise, 0 to pi/2, from the x axis to the side that is called width; `boxes_xyxy` then is the
            upright box around each.
        probabilities: For classification: float32 (C,), of the whole frame; there are no boxes then.
        track_id: For tracked streams: int64 (N,), the same for one thing in all frames of a stream; None where nothing
            tracks.

    They can be chosen from, as an array can: `found[0]`, `found[:5]`, `found[found.confidence > 0.5]`,
    `found[[2, 0]]`. What comes of it are detections again, also of a single number, and share no memory that one could
    change through. Iterating gives them one by one. `where` chooses by class and confidence.

    The arrays can be written to, as code that scales boxes in place does. Whoever has a result has the same arrays,
    sinks in threads of their own included: copy before you write, `boxes = found.boxes_xyxy.copy()`.

    ```python
    found = detector("street.jpg")
    print(found)  # Detections(5: 4 person 0.36-0.89, 1 bus 0.87)
    for person in found.where(classes="person", conf=0.5):
        print(person.boxes_xyxy, person.confidence)
    found.save("out.jpg", image)
    ```
    """

    def __repr__(self) -> str:
        return f"Detections({summary_of(self)})"

    if not TYPE_CHECKING:  # A type checker is to find what is not there.

        def __getattr__(self, name: str) -> Any:
            no_attribute(self, name, OF_DETECTIONS)

    @explained(writes_no_file("plain values", "Path({path}).write_text(found.to_json())"))
    def to_dict(self) -> dict[str, Any]:
        """The detections as plain Python values, in the words, units and roundings of the JSON records.

        `width` and `height` of the frame, pixels, where they are known; `detections`, a list with `class_id`, `name`,
        `confidence`, `box_xyxy` and what the task adds; `probabilities` for a classification: see
        `keepbusy.records.record_of_detections`.
        """
        from keepbusy.records.record import record_of_detections  # Programs that only count need none.

        size = {} if self.frame_hw is None else {"width": self.frame_hw[1], "height": self.frame_hw[0]}
        return {**size, **record_of_detections(self)}

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON text.

        Args:
            indent: Spaces by which each level is set in; None for one line.

        Raises:
            ConfigError: A number is not finite, which JSON cannot have, or `indent` is no number of spaces.
        """
        import json

        if is_path(indent):
            hint = f"to write one: Path({written(indent)}).write_text(found.to_json())"
            raise ConfigError("to_json: it gives the text, and writes no file", hint=hint)
        if indent is not None and not is_whole(indent):
            shown = shortened(repr(indent), 60)
            raise ConfigError(f"to_json: indent: {shown} is no number of spaces", hint="give a number, such as 2")
        try:
            return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)
        except ValueError as error:
            raise ConfigError(
                "to_json: a number is not finite (NaN or infinity), and JSON has no such numbers",
                hint="leave such detections out: found[numpy.isfinite(found.boxes_xyxy).all(axis=1)]",
            ) from error

    @explained(writes_no_file("the text", "Path({path}).write_text(found.to_csv())"))
    def to_csv(self, *, header: bool = True) -> str:
        """A table as comma-separated values, a line for each detection: see `keepbusy.records.table` for the columns.

        Args:
            header: Whether the names of the columns are the first line.
        """
        from keepbusy.records.table import csv_of

        return csv_of(self, has_header=header)

    @explained(writes_no_file("the table", "found.to_pandas().to_csv({path})"))
    def to_pandas(self) -> pandas.DataFrame:
        """A table as a `pandas.DataFrame`, a row for each detection: see `keepbusy.records.table` for the columns.

        Numbers are not rounded, and share no memory with the detections.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("to_pandas()", extra="pandas") from error
        from keepbusy.records.table import table

        # An empty list says nothing of its type.
        return pandas.DataFrame(table(self), copy=True).astype({"name": str})

    @explained(of_crops)
    def crops(self, image: Image) -> list[Image]:
        """What was found, cut out of the picture: one picture for each detection, in their order.

        Of rotated boxes the upright ones are cut. A box that is thinner than a pixel is one pixel.

        Args:
            image: The picture that they were found in: uint8 (H, W, 3) BGR, (H, W) grey, or (H, W, 4).

        Returns:
            Copies: uint8 (h, w, 3), BGR, or what `image` is.

        Raises:
            ConfigError: It is no picture, or one of another size, or a coordinate is not finite.
        """
        from keepbusy.drawing.cut import cut_boxes  # Loads OpenCV.
        from keepbusy.drawing.picture import check_picture

        pixels = check_picture("crops", image, self.frame_hw)
        return [part.copy() for part in cut_boxes(pixels, self.boxes_xyxy)]

    @explained(of_plot)
    def plot(self, image: Image, *, labels: bool = True, conf: bool = True, line_width: int | None = None) -> Image:
        """The picture with what was found on it: boxes, masks, keypoints, rotated boxes, classes.

        It is drawn as in the videos and pictures that keepbusy writes: see `keepbusy.drawing.draw`.

        Args:
            image: The picture that they were found in: uint8 (H, W, 3) BGR, (H, W) grey, or (H, W, 4) BGRA. It is not
                changed.
            labels: Whether boxes have the names of their classes.
            conf: Whether labels tell the confidence.
            line_width: Width of lines, 1 to 100 pixels; None to go by the picture's size.

        Returns:
            uint8 (H, W, 3), BGR, a new array.

        Raises:
            ConfigError: It is no picture, or one of another size, `line_width` is out of range, or a coordinate is not
                finite.
        """
        from keepbusy.drawing.draw import drawn  # Loads OpenCV.

        return drawn("plot", image, self, self.frame_hw, labels=labels, conf=conf, line_width=line_width)

    @explained(of_save)
    def save(
        self,
        path: str | os.PathLike[str],
        image: Image,
        *,
        exist_ok: bool = False,
        labels: bool = True,
        conf: bool = True,
        line_width: int | None = None,
    ) -> Path:
        """Write the picture with what was found on it.

        The file is there whole, or not at all. Folders are made where they are missing.

        Args:
            path: The file; its ending chooses the format: .jpg, .png, .webp, ...
            image: As for `plot`.
            exist_ok: Whether a file that is there is replaced; otherwise it is an error.
            labels: As for `plot`.
            conf: As for `plot`.
            line_width: As for `plot`.

        Returns:
            Where it is.

        Raises:
            ConfigError: As for `plot`, or `path` is no path.
            SinkError: The file is there already, its ending names no picture or one that this does not fit into, or it
                cannot be written. No folder is made then.
        """
        from keepbusy.drawing.draw import drawn  # Loads OpenCV.
        from keepbusy.drawing.write import new_place, write_image

        if is_path(image) and not is_path(path):
            hint = f"write found.save({written(image)}, image)"
            raise ConfigError("save: the path comes first, then the picture", hint=hint)
        place = new_place(path, exist_ok=exist_ok)
        picture = drawn("save", image, self, self.frame_hw, labels=labels, conf=conf, line_width=line_width)
        write_image(place, picture, replaces=exist_ok, makes_folder=True)
        return place

    def to_supervision(self) -> supervision.Detections:
        """The same detections as a `supervision.Detections`, with `data["class_name"]` filled.

        Masks become its `mask`, bool (N, H, W); `track_id` its `tracker_id`; the corners of rotated
        boxes `data["xyxyxyxy"]`, float32 (N, 4, 2).
        Keypoints have a class of their own there: `to_supervision_keypoints`. Arrays are copies: what is written into
        them stays there.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("to_supervision()", extra="supervision") from error
        data: dict[str, Any] = {"class_name": self._class_names()}
        if self.boxes_xywhr is not None:
            data["xyxyxyxy"] = self.boxes_xyxyxyxy
        return supervision.Detections(
            xyxy=self.boxes_xyxy.copy(),
            mask=None if self.masks is None else self.masks.to_array(),
            confidence=self.confidence.copy(),
            class_id=self.class_id.copy(),
            tracker_id=None if self.track_id is None else self.track_id.copy(),
            data=data,
        )

    def to_supervision_keypoints(self) -> supervision.KeyPoints:
        """The keypoints as a `supervision.KeyPoints`, with `data["class_name"]` filled.

        Raises:
            MissingExtraError: supervision is not installed.
            ConfigError: The detections have no keypoints.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("to_supervision_keypoints()", extra="supervision") from error
        if self.keypoints is None:
            raise ConfigError(
                "to_supervision_keypoints: the detections have no keypoints",
                hint="models of poses find them: `model.output.task` of the Pipeline or Detector tells the task",
            )
        # The third is the confidence of each keypoint: by position, because its name differs between versions.
        return supervision.KeyPoints(
            self.keypoints[..., :2].copy(),
            self.class_id.copy(),
            self.keypoints[..., 2].copy(),
            data={"class_name": self._class_names()},
        )

    def _class_names(self) -> NDArray[np.str_]:
        return np.array([self.name(index) for index in range(len(self))], dtype=np.str_)
