"""Annotated pictures, and the folder that takes pictures and videos alike."""

from __future__ import annotations

from pathlib import Path

import cv2

from keepbusy.errors import SinkError, first_line
from keepbusy.sinks.draw import annotate
from keepbusy.sinks.naming import OutputNames, check_file, make_folder, write_error
from keepbusy.sinks.video import VideoFile
from keepbusy.sources.images import is_picture
from keepbusy.types import Image, Result


class ImageFile:
    """Writes the annotated picture to one file; a later one replaces it.

    Args:
        path: The file; its ending chooses the format.

    Raises:
        SinkError: The file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._path = path

    def write(self, result: Result) -> None:
        if result.frame.image is not None:
            write_image(self._path, annotate(result))

    def close(self) -> None:
        pass


class AnnotatedFolder:
    """Writes each picture as a picture and each video as a video, named like their sources.

    Args:
        folder: Where they go; made if missing.
        names: Names shared with the run's other sinks.
        fps_by_source: Frame rates of the sources, by their ids.

    Raises:
        SinkError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path, names: OutputNames, fps_by_source: dict[int, float | None]) -> None:
        make_folder(folder)
        self._folder = folder
        self._names = names
        self._fps_by_source = fps_by_source
        self._videos: dict[int, tuple[str, VideoFile]] = {}

    def write(self, result: Result) -> None:
        frame = result.frame
        if frame.image is None:
            return
        stem = self._names.stem(frame.source)
        if is_picture(frame.source):
            write_image(self._folder / f"{stem}{Path(frame.source).suffix}", annotate(result))
            return
        name, video = self._videos.get(frame.source_id, ("", None))
        if video is None or name != frame.source:
            if video is not None:
                video.close()
            fps = self._fps_by_source.get(frame.source_id)
            video = VideoFile(self._folder / f"{stem}.mp4", fps)
            self._videos[frame.source_id] = (frame.source, video)
        video.write(result)

    def close(self) -> None:
        first: SinkError | None = None
        for _, video in self._videos.values():
            try:
                video.close()
            except SinkError as error:
                first = first or error
        if first is not None:
            raise first


def write_image(path: Path, picture: Image) -> None:
    """Encode a picture and write it.

    Args:
        path: The file; its ending chooses the format.
        picture: uint8 (H, W, 3), BGR.

    Raises:
        SinkError: The ending is not a format that can be written, or the file cannot be.
    """
    try:
        is_encoded, content = cv2.imencode(path.suffix, picture)
    except cv2.error as error:
        raise SinkError(f"{path}: cannot be encoded: {first_line(error)}", hint="use .jpg, .png or .webp") from error
    if not is_encoded:
        raise SinkError(f"{path}: cannot be encoded", hint="use .jpg, .png or .webp")
    try:
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise write_error(path, error) from error
