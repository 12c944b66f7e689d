"""One word from the user → a source."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from keepbusy.errors import SourceError, first_line
from keepbusy.sources.base import Source
from keepbusy.sources.chain import Chain
from keepbusy.sources.images import ImageFiles, is_picture
from keepbusy.sources.video import Video

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
"""Endings that count as videos when a folder is listed; a file named directly may have any."""

LIST_SUFFIXES = frozenset({".txt", ".streams"})


class _How(NamedTuple):
    """How files are to be read."""

    read_ahead: bool
    read_threads: int | None

    @property
    def picture_threads(self) -> int | None:
        return self.read_threads if self.read_ahead else 1


def open_source(
    spec: str | int | Path, *, source_id: int = 0, read_ahead: bool = True, read_threads: int | None = None
) -> Source:
    """Open what the user named.

    Args:
        spec: A picture, a folder, a glob (`"shots/*.jpg"`), a text file that lists sources (one a line, `#` for
            comments), a video file, a camera's number, a URL (rtsp, rtmp, http, https, udp, ...), or a synthetic
            scene (`synth:street?seed=1&size=1280x720&fps=30&frames=300`).
        source_id: The source's number in the run.
        read_ahead: Let decoders work on the next frames of a video, and the next pictures of a folder, in the
            background.
        read_threads: Threads that read a folder's pictures, or a video's decoder uses; None chooses.

    Raises:
        SourceError: It does not exist, cannot be opened or has nothing in it.
    """
    text = str(spec)
    how = _How(read_ahead, read_threads)
    if text.isdecimal():
        from keepbusy.sources.camera import Camera

        return Camera(int(text), source_id)
    if text.startswith("synth:"):
        from keepbusy.sources.street import Street

        return Street(text, source_id)
    if "://" in text:
        return Video(text, text, source_id, read_ahead=read_ahead, read_threads=read_threads)
    path = Path(text)
    if path.is_dir():
        return _open_files(_list_folder(path), text, source_id, how)
    if path.is_file():
        return _open_file(path, source_id, how)
    if glob.has_magic(text):
        return _open_files(_list_glob(text), text, source_id, how)
    raise SourceError(
        f"{text}: no such file, folder or camera",
        hint="give a picture, video, folder, quoted glob, list (.txt), camera number, URL or synth:street",
    )


def open_sources(
    specs: Sequence[str | int | Path], *, read_ahead: bool = True, read_threads: int | None = None
) -> list[Source]:
    """Open several; pictures that follow each other become one source. All are closed again if one fails.

    Args:
        specs: What `open_source` takes.
        read_ahead: As for `open_source`.
        read_threads: As for `open_source`; for each source.

    Raises:
        SourceError: One of them cannot be opened.
    """
    sources: list[Source] = []
    try:
        for run in _group_images(specs):
            source_id = len(sources)
            if len(run) > 1:
                name = f"{run[0]} and {len(run) - 1} more"
                paths = [Path(str(spec)) for spec in run]
                how = _How(read_ahead, read_threads)
                sources.append(ImageFiles(paths, name, source_id, read_threads=how.picture_threads))
            else:
                sources.append(
                    open_source(run[0], source_id=source_id, read_ahead=read_ahead, read_threads=read_threads)
                )
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources


def _group_images(specs: Sequence[str | int | Path]) -> list[list[str | int | Path]]:
    groups: list[list[str | int | Path]] = []
    was_image = False
    for spec in specs:
        is_image = is_picture(str(spec)) and Path(str(spec)).is_file()
        if is_image and was_image:
            groups[-1].append(spec)
        else:
            groups.append([spec])
        was_image = is_image
    return groups


def _open_file(path: Path, source_id: int, how: _How) -> Source:
    if path.suffix.lower() in LIST_SUFFIXES:
        return _open_list(path, source_id, how)
    return _open_files([path], str(path), source_id, how)


def _open_files(paths: Sequence[Path], name: str, source_id: int, how: _How) -> Source:
    if all(is_picture(path) for path in paths):
        return ImageFiles(paths, name, source_id, read_threads=how.picture_threads)
    if len(paths) == 1:
        name = str(paths[0])
        return Video(name, name, source_id, read_ahead=how.read_ahead, read_threads=how.read_threads)
    parts: list[tuple[str, Callable[[], Source]]] = [
        (str(path), partial(_open_file, path, source_id, how)) for path in paths
    ]
    return Chain(parts, name)


def _open_list(path: Path, source_id: int, how: _How) -> Source:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as a list of sources: {first_line(error)}") from error
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise SourceError(f"{path}: lists no sources", hint="write one file, folder or glob a line")
    parts: list[tuple[str, Callable[[], Source]]] = []
    for entry in entries:
        # A relative path is looked for beside the list first, then where the program runs.
        beside = path.parent / entry
        is_beside = (
            not entry.isdecimal()
            and not entry.startswith("synth:")
            and "://" not in entry
            and (beside.exists() or glob.has_magic(entry))
        )
        spec = str(beside) if is_beside else entry
        if Path(spec).suffix.lower() in LIST_SUFFIXES:
            raise SourceError(f"{path}: {entry}: a list cannot hold another list")
        open_part = partial(
            open_source, spec, source_id=source_id, read_ahead=how.read_ahead, read_threads=how.read_threads
        )
        parts.append((spec, open_part))
    return Chain(parts, str(path))


def _list_folder(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror}") from error
    wanted = [path for path in files if is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES]
    if not wanted:
        raise SourceError(
            f"{folder}: has no pictures or videos in it",
            hint="sub-folders are not searched; use a glob such as 'folder/**/*.jpg' for that",
        )
    return wanted


def _list_glob(pattern: str) -> list[Path]:
    matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
    files = [path for path in matches if path.is_file()]
    if not files:
        raise SourceError(f"{pattern}: matches no file", hint="quote the pattern, and check the folder in it")
    return files
