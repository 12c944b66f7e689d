"""What the user asked to be written → sinks."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from keepbusy.errors import ConfigError
from keepbusy.sinks import Sink
from keepbusy.sinks.crops import Crops
from keepbusy.sinks.draw import PLAIN, Style
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.video import VIDEO_SUFFIXES, VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt, claim_labels
from keepbusy.sources import Source
from keepbusy.sources.images import is_picture
from keepbusy.sources.video import Video


def open_sinks(
    sources: Sequence[Source],
    *,
    save: Path | None,
    json: str | None,
    save_txt: Path | None,
    save_conf: bool,
    show: bool,
    save_crop: Path | None = None,
    exist_ok: bool = False,
    style: Style = PLAIN,
    specs: Sequence[str] = (),
    has_sound: bool = False,
) -> list[Sink]:
    """Open the sinks, so that what cannot be written is known before the work begins.

    Args:
        sources: What is read.
        save: Annotated video, picture, or folder for both.
        json: JSON Lines; `-` for standard output.
        save_txt: Folder for labels.
        save_conf: Add confidences to the labels.
        show: Open a window.
        save_crop: Folder for what was found, cut out.
        exist_ok: Labels that this program did not write may be written over.
        style: What is drawn, and how.
        has_sound: Copy the sound of one video file into one video.
        specs: The sources as the user wrote them: outputs of globs keep their sub-folders.

    Raises:
        SinkError: An output cannot be made.
        ConfigError: `save` does not fit the sources.
    """
    names = OutputNames(glob_root(spec) for spec in specs if is_glob(spec))
    if save_txt is not None:
        claim_labels(save_txt, exist_ok=exist_ok)
    sinks: list[Sink] = []
    if json is not None:
        sinks.append(JsonLines(json))
    if save is not None:
        sinks.append(_open_save(save, sources, names, style, has_sound=has_sound))
    if save_txt is not None:
        sinks.append(YoloTxt(save_txt, names, with_confidence=save_conf))
    if save_crop is not None:
        sinks.append(Crops(save_crop, names))
    if show:
        from keepbusy.sinks.window import Window

        sinks.append(Window(style))
    return sinks


def _open_save(path: Path, sources: Sequence[Source], names: OutputNames, style: Style, *, has_sound: bool) -> Sink:
    suffix = path.suffix.lower()
    is_file = suffix in VIDEO_SUFFIXES or is_picture(path)
    if path.is_dir() or not suffix:
        fps_by_source = {index: source.fps for index, source in enumerate(sources)}
        return AnnotatedFolder(path, names, fps_by_source, style)
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
        is_one_file = isinstance(sources[0], Video) and not sources[0].is_live and Path(sources[0].name).is_file()
        sound_of = Path(sources[0].name) if has_sound and is_one_file else None
        return VideoFile(path, sources[0].fps, style, sound_of=sound_of)
    if sources[0].num_frames != 1:
        raise ConfigError(
            f"--save: {path} is one picture for a source of many",
            hint="give a folder, or a video file (.mp4)",
        )
    return ImageFile(path, style)


def is_glob(spec: str) -> bool:
    """Whether a source is a pattern, and not a file whose name has such letters."""
    return "://" not in spec and not spec.startswith("synth:") and glob.has_magic(spec) and not Path(spec).exists()


def glob_root(pattern: str) -> Path:
    """The folder that everything that a pattern matches is below: `root` of `root/**/*.jpg`."""
    fixed: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
