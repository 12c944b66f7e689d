"""What the user asked to be written → sinks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keepbusy.errors import ConfigError
from keepbusy.sinks import Sink
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.video import VIDEO_SUFFIXES, VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.sources import Source
from keepbusy.sources.images import is_picture


def open_sinks(
    sources: Sequence[Source],
    *,
    save: Path | None,
    json: str | None,
    save_txt: Path | None,
    save_conf: bool,
    show: bool,
) -> list[Sink]:
    """Open the sinks, so that what cannot be written is known before the work begins.

    Raises:
        SinkError: An output cannot be made.
        ConfigError: `save` does not fit the sources.
    """
    names = OutputNames()
    sinks: list[Sink] = []
    if json is not None:
        sinks.append(JsonLines(json))
    if save is not None:
        sinks.append(_open_save(save, sources, names))
    if save_txt is not None:
        sinks.append(YoloTxt(save_txt, names, with_confidence=save_conf))
    if show:
        from keepbusy.sinks.window import Window

        sinks.append(Window())
    return sinks


def _open_save(path: Path, sources: Sequence[Source], names: OutputNames) -> Sink:
    suffix = path.suffix.lower()
    is_file = suffix in VIDEO_SUFFIXES or is_picture(path)
    if path.is_dir() or not suffix:
        fps_by_source = {index: source.fps for index, source in enumerate(sources)}
        return AnnotatedFolder(path, names, fps_by_source)
    if not is_file:
        raise ConfigError(
            f"--save: {path}: unknown kind of file {suffix}",
            hint=f"use {', '.join(sorted(VIDEO_SUFFIXES))}, .jpg, .png, or a folder",
        )
    if len(sources) > 1:
        raise ConfigError(
            f"--save: {path} is one file for {len(sources)} sources",
            hint="give a folder: each source then gets a file of its own",
        )
    if suffix in VIDEO_SUFFIXES:
        return VideoFile(path, sources[0].fps)
    if sources[0].num_frames != 1:
        raise ConfigError(
            f"--save: {path} is one picture for a source of many",
            hint="give a folder, or a video file (.mp4)",
        )
    return ImageFile(path)
