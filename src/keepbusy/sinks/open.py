"""One word from the user → a sink; several for one run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keepbusy.drawing.write import can_write
from keepbusy.errors import ConfigError
from keepbusy.sinks.apart import check_apart
from keepbusy.sinks.base import Sink
from keepbusy.sinks.crops import Crops
from keepbusy.sinks.encoders import check_name, choose_encoder
from keepbusy.sinks.given import close_all, is_one, no_sink
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.label_folder import LabelMark, claim_labels
from keepbusy.sinks.naming import OutputNames, check_stdout, keeps_sub_folders, roots_of
from keepbusy.sinks.spec import SinkSpec, check_place, parse_sink
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.sources import Source
from keepbusy.sources.video import Video


def open_sink(spec: str | Path | SinkSpec, *, sources: Sequence[Source] = (), names: OutputNames | None = None) -> Sink:
    """Open what the user named.

    ```python
    sink = open_sink("out.mp4?encoder=vp9&on_error=count")
    ```

    Args:
        spec: A file (`out.jsonl`, `out.mp4`, `out.jpg`), a folder (`out/`) for annotated pictures and videos, `-` for
            JSON Lines on standard output, or a kind and its place: `json:`, `video:`, `picture:`, `images:`, `labels:`,
            `crops:`, `window:`. Options follow a `?`: see docs/reference/sinks.md.
        sources: What is read, where that is known: a video's sound is copied from it.
        names: Names shared with the run's other sinks.

    Raises:
        ConfigError: There is no such kind or option, or it does not fit the sources.
        SinkError: It cannot be made.
    """
    (sink,) = open_sinks([spec], sources, names=names)
    return sink


def open_sinks(
    specs: Sequence[str | Path | SinkSpec],
    sources: Sequence[Source] = (),
    *,
    named: Sequence[str] = (),
    names: OutputNames | None = None,
    is_looped: bool = False,
) -> list[Sink]:
    """Open the sinks of a run, so that what cannot be written is known before the work begins.

    Args:
        specs: What `open_sink` takes.
        sources: What is read.
        named: The sources as the user named them: outputs keep the sub-folders that these have.
        names: How outputs are called; None goes by `named`.
        is_looped: Whether sources begin again at their end, so that no sound fits them.

    Raises:
        SinkError: An output cannot be made. Those that were opened are closed.
        ConfigError: One does not fit the sources, is a picture of a kind that cannot be written, a video that cannot be
            encoded as asked, or is named twice, or two could write the same file. Nothing was opened or made.
    """
    names = names or OutputNames(roots_of(named))
    checked = [_checked(spec_of(spec), sources) for spec in specs]
    is_deep = keeps_sub_folders(named) if named else True
    check_apart(checked, is_deep=is_deep)
    # Asked of all folders before anything is opened: a label file that is there is not to cost another output.
    marks = [
        claim_labels(spec.path, exist_ok=spec.exist_ok, is_deep=is_deep, option=spec.option)
        if spec.kind == "labels"
        else None
        for spec in checked
    ]
    opened: list[Sink] = []
    try:
        for spec, mark in zip(checked, marks, strict=True):
            sink = _open(replace(spec, has_sound=spec.has_sound and not is_looped), sources, names, mark)
            sink.outlet = spec.outlet
            opened.append(sink)
    except BaseException:
        close_all(opened)
        raise
    return opened


def spec_of(spec: str | Path | SinkSpec) -> SinkSpec:
    """What names a sink, read.

    Raises:
        ConfigError: There is no such kind or option, or the kind does not write to such a place.
    """
    if not isinstance(spec, SinkSpec):
        if not is_one(spec) or isinstance(spec, Sink):
            raise no_sink(spec)
        return parse_sink(os.fspath(spec))
    check_place(spec)
    return spec


def _checked(spec: SinkSpec, sources: Sequence[Source]) -> SinkSpec:
    """See that a sink fits the sources and can be encoded, before any output is opened; its encoder is chosen then."""
    check_name(spec.encoder)
    if spec.kind == "json":
        check_stdout(spec.location)
    if spec.kind not in ("video", "picture"):
        return spec
    suffix = spec.path.suffix.lower()
    if spec.kind == "picture" and not can_write(suffix):
        raise ConfigError(
            f"{spec.shown}: {suffix} pictures can be read, but not written with colours",
            hint="use .jpg, .png, or a folder",
        )
    if len(sources) > 1:
        raise ConfigError(
            f"{spec.shown} is one file for {len(sources)} sources",
            hint="give a folder: each source then gets a file of its own",
        )
    if spec.kind == "picture" and sources and sources[0].info.num_frames != 1:
        raise ConfigError(
            f"{spec.shown} is one picture for a source of many",
            hint="give a folder, or a video file (.mp4)",
        )
    return spec if spec.kind == "picture" else replace(spec, encoder=choose_encoder(spec.encoder, spec.path).name)


def _open(spec: SinkSpec, sources: Sequence[Source], names: OutputNames, mark: LabelMark | None) -> Sink:
    match spec.kind:
        case "json":
            return JsonLines(spec.location)
        case "video":
            return _open_video(spec, sources)
        case "picture":
            return ImageFile(spec.path, spec.style)
        case "images":
            return AnnotatedFolder(spec.path, names, style=spec.style, encoder=spec.encoder)
        case "labels":
            return YoloTxt(spec.path, names, with_confidence=spec.with_confidence, mark=mark)
        case "crops":
            return Crops(spec.path, names)
        case "window":
            from keepbusy.sinks.window import Window

            return Window(spec.style)


def _open_video(spec: SinkSpec, sources: Sequence[Source]) -> VideoFile:
    info = sources[0].info if sources else None
    is_one_file = info is not None and isinstance(sources[0], Video) and not info.is_live and os.path.isfile(info.name)
    sound_of = Path(info.name) if info is not None and spec.has_sound and is_one_file else None
    fps = None if info is None else info.fps
    return VideoFile(spec.path, fps, spec.style, sound_of=sound_of, encoder=spec.encoder)
