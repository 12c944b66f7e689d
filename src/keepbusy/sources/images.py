"""Pictures in files: one, a folder of them, or a glob."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from keepbusy.errors import FrameError, first_line
from keepbusy.types import Frame, Image

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".jp2", ".png", ".pgm", ".ppm", ".pbm", ".tif", ".tiff", ".webp", ".avif"}
)


def is_picture(name: str | Path) -> bool:
    """Whether a file's ending is a picture's."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


class ImageFiles:
    """Pictures in files, in the order given. Finite; each file is one frame, its index is its place.

    Args:
        paths: The files.
        name: What the user called them.
        source_id: The source's number in the run.
    """

    is_live = False
    fps: float | None = None

    def __init__(self, paths: Sequence[Path], name: str, source_id: int = 0) -> None:
        self.name = name
        self.num_frames: int | None = len(paths)
        self._paths = list(paths)
        self._source_id = source_id
        self._next = 0

    def read(self) -> Frame | None:
        if self._next >= len(self._paths):
            return None
        index = self._next
        self._next += 1
        path = self._paths[index]
        return Frame(read_image(path, index), index, float(index), self._source_id, str(path))

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._paths)

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        self._next = len(self._paths)


def read_image(path: Path, index: int = 0) -> Image:
    """Read one picture as uint8 (H, W, 3), BGR.

    Grey pictures become three equal channels, transparency is dropped, 16 bits a channel become 8, and a JPEG's
    orientation tag is followed.

    Raises:
        FrameError: The file cannot be read, or is no picture.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise FrameError(
            f"cannot read the file: {error.strerror or first_line(error)}",
            stage="read",
            source=str(path),
            frame_index=index,
        ) from error
    image = None
    cause: Exception | None = None
    if content.size and not _is_cut_jpeg(content.tobytes()):
        try:
            image = cv2.imdecode(content, cv2.IMREAD_COLOR)
        except cv2.error as error:
            cause = error
    if image is None:
        what = "is empty" if not content.size else "is not a picture, or is damaged"
        raise FrameError(
            f"the file {what}",
            stage="read",
            source=str(path),
            frame_index=index,
            hint="replace or remove it, or go on without it with --on-error skip",
        ) from cause
    return np.asarray(image, np.uint8)


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG lacks its end marker: decoders fill the missing part with grey and say nothing.

    Walks the segments up to the start of the scan (ITU T.81, annex B), because a thumbnail inside the header has
    an end marker of its own.
    """
    if not content.startswith(b"\xff\xd8"):
        return False
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xDA:
            return content.find(b"\xff\xd9", position) < 0
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False
