"""One word from the user → a source."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from keepbusy.checks import check_choice, check_count, check_flag
from keepbusy.config import HIGHEST_PIXELS, MAX_COUNT, MAX_PIXELS, Decoder
from keepbusy.errors import ConfigError, SourceError, reason_of
from keepbusy.files.endings import is_picture
from keepbusy.sources.address import is_web
from keepbusy.sources.base import Source
from keepbusy.sources.chain import Chain
from keepbusy.sources.heif import START_BYTES, is_still
from keepbusy.sources.images import ImageFiles
from keepbusy.sources.listing import LIST_SUFFIXES, beside_list, list_entries, list_folder, list_glob
from keepbusy.sources.pipe import STDIN, Pipe, PipedPicture, is_pipe, picture_in
from keepbusy.sources.realtime import Realtime, split_pace
from keepbusy.sources.video import Video
from keepbusy.texts import shortened, without_secrets

MAX_CAMERA = 999

_STDIN_FILE = "/dev/stdin"

_WHAT_TO_GIVE = "give a picture, video, folder, quoted glob, list (.txt), camera number, URL or synth:street"


class _How(NamedTuple):
    """How files are to be read."""

    read_ahead: bool
    read_threads: int | None
    max_pixels: int
    fast_decode: bool
    decoder: Decoder

    @property
    def picture_threads(self) -> int | None:
        return self.read_threads if self.read_ahead else 1


def open_source(
    spec: str | int | Path,
    *,
    source_id: int = 0,
    read_ahead: bool = True,
    read_threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    fast_decode: bool = False,
    decoder: Decoder = "auto",
) -> Source:
    """Open what the user named.

    Args:
        spec: A picture, a folder, a glob (`"shots/*.jpg"`), a text file that lists sources (one a line, `#` for
            comments), a video file, a camera's number, a URL (rtsp, rtmp, http, https, udp, ...), or a synthetic
            scene (`synth:street?seed=1&size=1280x720&fps=30&frames=300`). A video's path or a scene with `?realtime`
            (`&realtime`) behind it is live, at its own pace. An http or https URL whose path has a
            picture's ending is one picture, which is fetched now.
        source_id: The source's number in the run.
        read_ahead: Let decoders work on the next frames of a video, and the next pictures of a folder, in the
            background.
        read_threads: Threads that read a folder's pictures, or a video's decoder uses; None chooses.
        max_pixels: A picture, or a video's picture, that has more by its header fails without being decoded.
        fast_decode, decoder: See `RunConfig.fast_decode` and `RunConfig.decoder`.

    Raises:
        SourceError: It does not exist, cannot be opened or has nothing in it.
        ConfigError: It is not of these types, or an option has a value that it cannot have.
    """
    text = _text_of(spec)
    how = _How(read_ahead, read_threads, max_pixels, fast_decode, decoder)
    _check_how(source_id, how)
    if not text.strip():
        raise SourceError("the source is empty", hint=_WHAT_TO_GIVE)
    if text == STDIN:
        return _open_pipe(text, source_id, how)
    inner, is_paced = split_pace(text)
    if is_paced:
        return _open_paced(inner, text, source_id, how)
    if "://" in text:
        return _open_address(text, source_id, how)
    path = _existing(text)
    if path is not None:
        return _open_path(path, source_id, how)
    if text.isdecimal():
        return _open_camera(text, source_id)
    if text.startswith("synth:"):
        from keepbusy.sources.street import Street

        return Street(text, source_id)
    if glob.has_magic(text):
        return _open_files(list_glob(os.path.expanduser(text)), text, source_id, how)
    is_pattern = re.search(r"%0?\d*d", text) is not None
    raise SourceError(
        f"{text}: no such file, folder or camera",
        hint=f"for numbered files give a glob: '{re.sub('%0?[0-9]*d', '*', text)}'" if is_pattern else _WHAT_TO_GIVE,
    )


def _text_of(spec: Any) -> str:
    """What names a source, as text.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(spec, str) or (isinstance(spec, int) and not isinstance(spec, bool)):
        return str(spec)
    path = os.fspath(spec) if isinstance(spec, os.PathLike) else None
    if not isinstance(path, str):
        raise ConfigError(
            f"open_source: a source cannot be opened by {type(spec).__name__}",
            hint=f"{_WHAT_TO_GIVE}; Pipeline.run takes arrays, pictures of Pillow, lists and generators, too",
        )
    return path


def _check_how(source_id: Any, how: _How) -> None:
    check_count("source_id", source_id, 0, None)
    check_flag("read_ahead", how.read_ahead)
    check_flag("fast_decode", how.fast_decode)
    check_count("max_pixels", how.max_pixels, 1, HIGHEST_PIXELS)
    if how.read_threads is not None:
        check_count("read_threads", how.read_threads, 1, MAX_COUNT)
    check_choice(how, "decoder")


def _open_address(text: str, source_id: int, how: _How) -> Source:
    if is_web(text) and is_picture(urlsplit(text).path):
        from keepbusy.sources.web import fetch_picture  # Loads TLS and more, which few programs need.

        answer = fetch_picture(text)
        if answer.content:
            return PipedPicture(answer.content, without_secrets(text), source_id, max_pixels=how.max_pixels)
    return _open_video(text, text, source_id, how)


def _open_paced(text: str, name: str, source_id: int, how: _How) -> Source:
    source = open_source(text, source_id=source_id, **how._asdict())
    if has_pace(source, text):
        return Realtime(source, name)
    source.close()
    raise SourceError(f"{name}: only videos and synthetic scenes have a pace", hint="leave out `realtime`")


def has_pace(source: Source, text: str) -> bool:
    """Whether what is open has a clock of its own, and delivers frames faster all the same: a video, or a scene.

    Args:
        source: What was opened.
        text: What named it.
    """
    return not source.info.is_live and (isinstance(source, Video) or text.startswith("synth:"))


def _existing(text: str) -> Path | None:
    """The path that a word names, as it stands or with `~` for the home folder; None where there is nothing.

    Raises:
        SourceError: It cannot be looked at.
    """
    for path in dict.fromkeys((Path(text), Path(os.path.expanduser(text)))):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            if glob.has_magic(text):
                return None
            cause = reason_of(error)
            raise SourceError(f"{shortened(text)}: cannot be looked at: {cause}", hint=_WHAT_TO_GIVE) from error
        return path
    return None


def _open_path(path: Path, source_id: int, how: _How) -> Source:
    if os.path.isdir(path):
        return _open_files(list_folder(path), str(path), source_id, how)
    if path.is_char_device() and (match := re.fullmatch(r"video(\d+)", path.resolve().name)):
        return _open_camera(match[1], source_id)
    return _open_file(path, source_id, how)


def _open_camera(number: str, source_id: int) -> Source:
    from keepbusy.sources.camera import Camera

    if int(number) > MAX_CAMERA:
        raise SourceError(f"camera {shortened(number)}: there is no such camera", hint="cameras are numbered from 0")
    return Camera(int(number), source_id)


def open_sources(
    specs: Sequence[str | int | Path],
    *,
    read_ahead: bool = True,
    read_threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    fast_decode: bool = False,
    decoder: Decoder = "auto",
) -> list[Source]:
    """Open several; pictures that follow each other become one source. All are closed again if one fails.

    Args:
        specs: What `open_source` takes.
        read_ahead: As for `open_source`.
        read_threads: As for `open_source`; for each source.
        max_pixels, fast_decode, decoder: As for `open_source`.

    Raises:
        SourceError: One of them cannot be opened.
    """
    sources: list[Source] = []
    how = _How(read_ahead, read_threads, max_pixels, fast_decode, decoder)
    try:
        for run in _group_images(specs):
            source_id = len(sources)
            if len(run) > 1:
                name = f"{run[0]} and {len(run) - 1} more"
                paths = [Path(str(spec)) for spec in run]
                sources.append(_open_pictures(paths, name, source_id, how))
            else:
                sources.append(open_source(run[0], source_id=source_id, **how._asdict()))
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources


def _group_images(specs: Sequence[str | int | Path]) -> list[list[str | int | Path]]:
    groups: list[list[str | int | Path]] = []
    was_image = False
    for spec in specs:
        is_image = is_picture(str(spec)) and os.path.isfile(spec)
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
    if all(is_picture(path) for path in paths) or (len(paths) == 1 and _is_heif_still(paths[0])):
        return _open_pictures(paths, name, source_id, how)
    if len(paths) == 1:
        name = str(paths[0])
        return _open_pipe(name, source_id, how) if is_pipe(paths[0]) else _open_video(name, name, source_id, how)
    parts: list[tuple[str, Callable[[], Source]]] = [
        (str(path), partial(_open_file, path, source_id, how)) for path in paths
    ]
    return Chain(parts, name)


def _open_pictures(paths: Sequence[Path], name: str, source_id: int, how: _How) -> ImageFiles:
    return ImageFiles(paths, name, source_id, read_threads=how.picture_threads, max_pixels=how.max_pixels)


def _open_video(location: str | Pipe, name: str, source_id: int, how: _How) -> Video:
    return Video(location, name, source_id, **how._asdict())


def _open_pipe(name: str, source_id: int, how: _How) -> Source:
    pipe = Pipe(name)
    try:
        found = picture_in(pipe)
        if found is None and not (name == STDIN and os.path.isfile(_STDIN_FILE)):
            return _open_video(pipe, name, source_id, how)
    except BaseException:
        pipe.close()
        raise
    pipe.close()
    if found is None:  # `< FILE`: a file after all.
        return _open_video(_STDIN_FILE, name, source_id, how)
    ending, content = found
    base = "stdin" if name in (STDIN, _STDIN_FILE) else name
    # The ending tells outputs that it is a picture.
    called = base if is_picture(base) else base + ending
    return PipedPicture(content, called, source_id, max_pixels=how.max_pixels)


def _is_heif_still(path: Path) -> bool:
    """Whether a file of any name is a HEIF picture: FFmpeg takes each of its tiles for a video.

    A pipe can be read only once: it is not looked into.
    """
    try:
        with path.open("rb") if os.path.isfile(path) else io.BytesIO() as file:
            return is_still(file.read(START_BYTES))
    except OSError:
        return False  # Opening it says why.


def _open_list(path: Path, source_id: int, how: _How) -> Source:
    parts: list[tuple[str, Callable[[], Source]]] = []
    for entry in list_entries(path):
        spec = beside_list(path.parent, entry)
        if Path(spec).suffix.lower() in LIST_SUFFIXES:
            raise SourceError(
                f"{path}: line {entry.number}: {spec}: a list cannot hold another list",
                hint="give both lists on the command line",
            )
        parts.append((spec, partial(_open_entry, f"{path}: line {entry.number}", spec, source_id, how)))
    return Chain(parts, str(path))


def _open_entry(place: str, spec: str, source_id: int, how: _How) -> Source:
    try:
        return open_source(spec, source_id=source_id, **how._asdict())
    except SourceError as error:
        # The frame that fails has the entry's name already.
        message = error.message.removeprefix(f"{without_secrets(spec)}: ")
        raise SourceError(f"{place}: {message}", hint=error.hint) from error
