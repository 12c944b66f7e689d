"""What the user asked to be written → sinks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from keepbusy.errors import ConfigError
from keepbusy.sinks.base import Sink
from keepbusy.sinks.crops import Crops
from keepbusy.sinks.draw import PLAIN, Style
from keepbusy.sinks.encoders import VIDEO_SUFFIXES, EncoderName, check_name, choose_encoder
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.label_folder import claim_labels
from keepbusy.sinks.naming import OutputNames, keeps_sub_folders, roots_of
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.sources import Source
from keepbusy.sources.images import is_picture
from keepbusy.sources.video import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is to be written.

    Attributes:
        save: Annotated video, picture, or folder for both.
        json: JSON Lines; `-` for standard output.
        save_txt: Folder for labels.
        save_conf: Add confidences to the labels.
        save_crop: Folder for what was found, cut out.
        show: Open a window.
        exist_ok: Labels that this program did not write, or somebody has changed since, may be written over.
        style: What is drawn, and how.
        has_sound: Copy the sound of one video file into one video.
        encoder: How videos are encoded: see `keepbusy.sinks.encoders`.
    """

    save: Path | None = None
    json: str | None = None
    save_txt: Path | None = None
    save_conf: bool = False
    save_crop: Path | None = None
    show: bool = False
    exist_ok: bool = False
    style: Style = PLAIN
    has_sound: bool = False
    encoder: EncoderName = "auto"


def open_sinks(sources: Sequence[Source], outputs: Outputs, specs: Sequence[str] = ()) -> list[Sink]:
    """Open the sinks, so that what cannot be written is known before the work begins.

    Args:
        sources: What is read.
        outputs: What is to be written.
        specs: The sources as the user named them: outputs keep the sub-folders that these have.

    Raises:
        SinkError: An output cannot be made.
        ConfigError: `save` does not fit the sources, is a picture of a kind that cannot be written, or a video that
            cannot be encoded as asked. Nothing was opened or made.
    """
    names = OutputNames(roots_of(specs))
    check_name(outputs.encoder)
    if outputs.save is not None:
        _check_save(outputs.save, sources)
        if outputs.save.suffix.lower() in VIDEO_SUFFIXES and not _is_folder(outputs.save):
            outputs = replace(outputs, encoder=choose_encoder(outputs.encoder, outputs.save).name)
    mark = None
    if outputs.save_txt is not None:
        mark = claim_labels(outputs.save_txt, exist_ok=outputs.exist_ok, is_deep=keeps_sub_folders(specs))
    sinks: list[Sink] = []
    if outputs.json is not None:
        sinks.append(JsonLines(outputs.json))
    if outputs.save is not None:
        sinks.append(_open_save(outputs.save, sources, names, outputs))
    if outputs.save_txt is not None:
        sinks.append(YoloTxt(outputs.save_txt, names, with_confidence=outputs.save_conf, mark=mark))
    if outputs.save_crop is not None:
        sinks.append(Crops(outputs.save_crop, names))
    if outputs.show:
        from keepbusy.sinks.window import Window

        sinks.append(Window(outputs.style))
    return sinks


def _check_save(path: Path, sources: Sequence[Source]) -> None:
    """See that `--save` fits the sources and can be encoded, before any output is opened."""
    suffix = path.suffix.lower()
    if _is_folder(path):
        return
    if suffix not in VIDEO_SUFFIXES and not is_picture(path):
        raise ConfigError(
            f"--save: {path}: unknown kind of file {suffix}",
            hint=f"use {', '.join(sorted(VIDEO_SUFFIXES))}, .jpg, .png, or a folder",
        )
    if suffix not in VIDEO_SUFFIXES and not cv2.haveImageWriter(f"x{suffix}"):
        raise ConfigError(
            f"--save: {path}: {suffix} pictures can be read, but not written", hint="use .jpg, .png, or a folder"
        )
    if len(sources) > 1:
        raise ConfigError(
            f"--save: {path} is one file for {len(sources)} sources",
            hint="give a folder: each source then gets a file of its own",
        )
    if suffix not in VIDEO_SUFFIXES and sources[0].info.num_frames != 1:
        raise ConfigError(
            f"--save: {path} is one picture for a source of many",
            hint="give a folder, or a video file (.mp4)",
        )


def _open_save(path: Path, sources: Sequence[Source], names: OutputNames, outputs: Outputs) -> Sink:
    style, encoder = outputs.style, outputs.encoder
    if _is_folder(path):
        fps_by_source = {index: source.info.fps for index, source in enumerate(sources)}
        return AnnotatedFolder(path, names, fps_by_source, style, encoder=encoder)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        info = sources[0].info
        is_one_file = isinstance(sources[0], Video) and not info.is_live and os.path.isfile(info.name)
        sound_of = Path(info.name) if outputs.has_sound and is_one_file else None
        return VideoFile(path, info.fps, style, sound_of=sound_of, encoder=encoder)
    return ImageFile(path, style)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) or not path.suffix
