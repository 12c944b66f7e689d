"""Annotated pictures, and the folder that takes pictures and videos alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keepbusy.drawing.write import can_write, fits, write_image
from keepbusy.files.endings import is_picture
from keepbusy.files.whole import clear_output
from keepbusy.sinks.base import Sink
from keepbusy.sinks.draw import PLAIN, Style, annotate
from keepbusy.sinks.encoders import EncoderName, choose_encoder
from keepbusy.sinks.naming import OutputNames, check_file, make_folder
from keepbusy.sinks.video import VideoFile
from keepbusy.values.result import Result
from keepbusy.values.streams import Outcome, StreamInfo

_VIDEO_SUFFIX = ".mp4"


class ImageFile(Sink):
    """Writes the annotated picture to one file; a later one replaces it.

    Args:
        path: The file; its ending chooses the format.
        style: What is drawn, and how.

    Raises:
        SinkError: The file cannot be made.
    """

    def __init__(self, path: Path, style: Style = PLAIN) -> None:
        check_file(path)
        self._style = style
        self._path = path
        self.name = str(path)

    def write(self, result: Result) -> None:
        if result.frame.image is not None:
            write_image(self._path, annotate(result, style=self._style))


class AnnotatedFolder(Sink):
    """Writes each picture as a picture and each video as a video, named like their sources.

    Args:
        folder: Where they go; made if missing.
        names: Names shared with the run's other sinks.
        fps_by_source: Frame rates of the sources, by their ids; those of others are what is known of their streams.
        style: What is drawn, and how.
        encoder: How videos are encoded: see `choose_encoder`.

    Raises:
        ConfigError: There is no such encoder, or it does not fit into MP4.
        SinkError: The folder cannot be made or written.
    """

    def __init__(
        self,
        folder: Path,
        names: OutputNames,
        fps_by_source: Mapping[int, float | None] | None = None,
        style: Style = PLAIN,
        *,
        encoder: EncoderName = "auto",
    ) -> None:
        if encoder != "auto":
            choose_encoder(encoder, Path(f"clip{_VIDEO_SUFFIX}"))
        make_folder(folder)
        self._folder = folder
        self.name = str(folder)
        self._names = names
        self._fps_by_source = dict(fps_by_source or {})
        self._style = style
        self._encoder = encoder
        self._videos: dict[int, tuple[str, VideoFile]] = {}
        self._num_rounds: dict[str, int] = {}

    def begin(self, stream: StreamInfo) -> None:
        self._fps_by_source.setdefault(stream.id, stream.fps)

    def write(self, result: Result) -> None:
        frame = result.frame
        stem = self._names.stem(frame.source, frame.source_id)
        if frame.image is None:
            return
        if is_picture(frame.source):
            path = self._folder / f"{stem}{_suffix_for(frame.source, frame.shape_hw)}"
            make_folder(path.parent)
            write_image(path, annotate(result, style=self._style), follows_link=False)
            return
        name, video = self._videos.get(frame.source_id, ("", None))
        if video is None or name != frame.source:
            if video is not None:
                video.close()
            fps = self._fps_by_source.get(frame.source_id)
            path = self._folder / f"{self._round_of(stem)}{_VIDEO_SUFFIX}"
            clear_output(path)
            video = VideoFile(path, fps, self._style, encoder=self._encoder)
            self._encoder = video.encoder.name
            self._videos[frame.source_id] = (frame.source, video)
        video.write(result)

    def _round_of(self, stem: str) -> str:
        """A clip that comes again (a loop over several) gets a file of its own."""
        num = self._num_rounds[stem] = self._num_rounds.get(stem, 0) + 1
        return stem + (f"_round{num}" if num > 1 else "")

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        self._fps_by_source.pop(stream.id, None)
        _, video = self._videos.pop(stream.id, ("", None))
        if video is not None:
            video.close()

    def close(self) -> None:
        first: Exception | None = None
        for _, video in self._videos.values():
            try:
                video.close()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first


def _suffix_for(source: str, shape_hw: tuple[int, int]) -> str:
    """The ending of a picture's copy: its own, or JPEG's where such a picture can be read, but not written."""
    suffix = Path(source).suffix
    return suffix if can_write(suffix) and fits(suffix, shape_hw) else ".jpg"
