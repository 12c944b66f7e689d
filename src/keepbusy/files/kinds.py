"""Kinds of files, by the endings of their names."""

from __future__ import annotations

from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".mpo", ".png", ".pgm", ".ppm", ".pbm", ".pnm"}
    | {".avif", ".heic", ".heif", ".hif", ".tga", ".tif", ".tiff", ".webp"}
)


def is_picture(name: str | Path) -> bool:
    """Whether a file's ending is a picture's."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
