"""Each encoder that the installed PyAV has writes videos that a decoder reads back as they should be."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from keepbusy.cli.app import app
from keepbusy.errors import ConfigError
from keepbusy.sinks.encoders import ENCODERS, Encoder, EncoderName, choose_encoder, is_built
from keepbusy.sinks.images import AnnotatedFolder
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.open import open_sinks
from keepbusy.sinks.spec import Outputs
from keepbusy.sinks.video import VideoFile
from keepbusy.sources.open import open_source
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings

CODECS = {"h264": "h264", "openh264": "h264", "vp9": "vp9", "av1": "av1", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}

every_pair = pytest.mark.parametrize(
    ("name", "suffix"),
    [(encoder.name, suffix) for encoder in ENCODERS if is_built(encoder.codec) for suffix in sorted(encoder.suffixes)],
)


def bars(width: int, height: int, *, shift: int = 0) -> NDArray[np.uint8]:
    """Bars of red, green, blue, grey, and a bright block that moves; uint8 (H, W, 3), BGR."""
    picture = np.zeros((height, width, 3), np.uint8)
    colours = ((30, 30, 200), (40, 180, 40), (190, 60, 30), (128, 128, 128))
    for place, colour in enumerate(colours):
        picture[:, place * width // 4 : (place + 1) * width // 4] = colour
    picture[height // 2 :, shift : shift + width // 8] = 230
    return picture


def write(sink: VideoFile, picture: NDArray[np.uint8], index: int, time_s: float) -> None:
    frame = Frame(picture, index, time_s, 0, "a.mp4")
    sink.write(Result(frame, Detections.empty(), Timings(), None))


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def unmarked(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without the corner that the throughput is drawn in."""
    return picture[picture.shape[0] // 3 :]


@every_pair
@pytest.mark.parametrize("size_wh", [(320, 240), (1280, 720), (97, 65)])
def test_pictures_come_back_in_number_time_size_and_colour(
    name: EncoderName, suffix: str, size_wh: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / f"out{suffix}"
    width, height = size_wh
    pictures = [bars(width, height, shift=2 * index) for index in range(12)]
    # A pause in the middle, and times that are no multiple of anything.
    times_s = [index / 23.976 + (0.35 if index > 7 else 0) for index in range(12)]
    sink = VideoFile(path, 23.976, encoder=name)
    for index, (picture, time_s) in enumerate(zip(pictures, times_s, strict=True)):
        write(sink, picture, index, time_s)
    sink.close()
    frames = decode(path)
    assert len(frames) == 12
    assert [frame.time for frame in frames] == pytest.approx(times_s, abs=6e-4 if suffix == ".mkv" else 2e-5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert CODECS[name] in (stream.codec_context.name, stream.codec_context.codec.canonical_name)
        assert (stream.width, stream.height) == (width + width % 2, height + height % 2)
        assert (container.duration or 0) / 1e6 == pytest.approx(times_s[-1] + 1 / 23.976, abs=2e-3)
        matrix, is_full = stream.codec_context.colorspace, stream.codec_context.color_range == 2
    is_jpeg = name == "mjpeg"
    assert is_full is is_jpeg
    # JPEG has one matrix, of which FFmpeg knows two names.
    assert matrix in ((5, 6) if is_jpeg or height < 720 else (1,))
    # What players do: as tagged, BT.601 where there is no tag.
    decoded = [
        frame.reformat(format="bgr24", src_colorspace=1 if matrix == 1 else 5, src_color_range=2 if is_full else 1)
        for frame in frames
    ]
    for frame, picture in zip(decoded, pictures, strict=True):
        got = frame.to_ndarray()[:height, :width].astype(float)
        assert np.abs(unmarked(got) - unmarked(picture)).mean() < 5
        # Away from edges colours are those that were drawn.
        for place in range(4):
            middle = np.s_[int(height * 0.4), (2 * place + 1) * width // 8]
            assert np.abs(got[middle] - picture[middle]).max() < 9, place


@every_pair
def test_one_picture_is_shown_for_its_time(name: EncoderName, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    sink = VideoFile(path, 4, encoder=name)
    write(sink, bars(64, 48), 0, 0.0)
    sink.close()
    assert len(decode(path)) == 1
    with av.open(str(path)) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(0.25, abs=2e-3)


@every_pair
def test_a_program_that_dies_leaves_a_file_that_plays(name: EncoderName, suffix: str, tmp_path: Path) -> None:
    path, copy = tmp_path / f"out{suffix}", tmp_path / f"copy{suffix}"
    sink = VideoFile(path, 10, encoder=name)
    rng = np.random.default_rng(0)
    for index in range(150):
        write(sink, rng.integers(0, 256, (64, 96, 3), np.uint8), index, index / 10)
    copy.write_bytes(path.read_bytes())
    num_played = 0
    with av.open(str(copy)) as container:
        try:
            for _ in container.decode(video=0):
                num_played += 1
        except av.error.InvalidDataError:
            pass
    assert num_played >= 40
    sink.close()
    assert len(decode(path)) == 150


def write_with_sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream(codec, rate=48000)
        assert isinstance(audio, av.AudioStream)
        for index in range(50):
            container.mux(video.encode(av.VideoFrame.from_ndarray(bars(96, 64), format="bgr24")))
            tone = np.sin(np.arange(1920) / 20 + index * 96).astype(np.float32)[None]
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, index * 1920
            container.mux(audio.encode(sound))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path


@every_pair
@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_sound_is_copied_beside_every_encoder(name: EncoderName, suffix: str, codec: str, tmp_path: Path) -> None:
    source, path = write_with_sound(tmp_path / "in.mkv", codec), tmp_path / f"out{suffix}"
    sink = VideoFile(path, 25, encoder=name, sound_of=source)
    for index in range(50):
        write(sink, bars(96, 64, shift=index), index, index / 25)
    sink.close()
    assert len(decode(path)) == 50
    with av.open(str(path)) as container:
        if suffix == ".m4v" and codec != "aac":
            assert not container.streams.audio
            return
        sounds = list(container.decode(audio=0))
    assert sum(sound.samples for sound in sounds) / 48000 == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_another_ffmpeg_knows_the_options_too(encoder: Encoder, tmp_path: Path) -> None:
    """PyAV's wheel lacks OpenH264; the FFmpeg of imageio has all of them."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    pictures = [bars(320, 240, shift=2 * index) for index in range(20)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += ["-s", "320x240", "-r", "10", "-i", "-", "-c:v", encoder.codec, "-g", "10", "-bf", "0"]
    command += [part for key, value in encoder.options.items() if key != "bf" for part in (f"-{key}:v", value)]
    command += ["-color_range", "pc"] if encoder.is_jpeg else []
    command += ["-pix_fmt", "yuv420p", str(tmp_path / "out.mkv")]
    content = b"".join(picture.tobytes() for picture in pictures)
    environment = {**os.environ, **encoder.environment}
    done = subprocess.run(command, input=content, env=environment, capture_output=True, check=False)
    if encoder.codec.encode() in done.stderr and b"Unknown encoder" in done.stderr:
        pytest.skip(f"imageio's FFmpeg is built without {encoder.codec}")
    assert done.returncode == 0 and b"ption" not in done.stderr, done.stderr.decode()
    frames = decode(tmp_path / "out.mkv")
    assert len(frames) == 20 and [frame.pts for frame in frames] == sorted(frame.pts or 0 for frame in frames)
    assert sum(frame.key_frame for frame in frames) in ((20,) if encoder.is_jpeg else (2,))
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.to_ndarray(format="bgr24").astype(int) - picture).mean() < 5


BUILT_WITHOUT: list[tuple[set[str], str, str]] = [
    (set(), ".mp4", "h264"),
    ({"libx264"}, ".mp4", "openh264"),
    ({"libx264", "libopenh264"}, ".mp4", "vp9"),
    ({"libx264", "libopenh264", "libvpx-vp9"}, ".mkv", "av1"),
    ({"libx264", "libopenh264", "libvpx-vp9", "libsvtav1"}, ".mp4", "mpeg4"),
    ({"libx264", "libopenh264", "mpeg4"}, ".MOV", "mjpeg"),
]


def all_but(missing: set[str]) -> Callable[[str], bool]:
    return lambda codec: codec not in missing


@pytest.mark.parametrize(("missing", "suffix", "name"), BUILT_WITHOUT)
def test_auto_takes_the_first_that_is_there_and_fits_and_says_so(
    missing: set[str], suffix: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepbusy")
    path = Path(f"out{suffix}")
    assert choose_encoder("auto", path, is_there=all_but(missing)).name == name
    assert caplog.messages == (
        [] if name == "h264" else [f"out{suffix}: encoded by {name}: the installed PyAV is built without libx264"]
    )


def test_what_cannot_be_had_is_refused_with_what_can_be() -> None:
    with pytest.raises(ConfigError, match=r"^encoder h265: there is none of this name") as caught:
        choose_encoder("h265", Path("out.mp4"))
    assert caught.value.hint == "use auto, h264, openh264, vp9, av1, mpeg4, mjpeg"
    without = all_but({"libopenh264", "libsvtav1"})
    with pytest.raises(ConfigError, match=r"^encoder openh264: .* built without libopenh264") as caught:
        choose_encoder("openh264", Path("out.mp4"), is_there=without)
    assert caught.value.hint == "at hand for .mp4: h264, vp9, mpeg4, mjpeg"
    with pytest.raises(ConfigError, match=r"^encoder vp9: does not fit into \.mov files") as caught:
        choose_encoder("vp9", Path("out.MOV"), is_there=without)
    assert caught.value.hint == "at hand for .mov: h264, mpeg4, mjpeg; .mkv takes all"
    with pytest.raises(ConfigError, match=r"no encoder for \.m4v files") as caught:
        choose_encoder("auto", Path("out.m4v"), is_there=all_but({"libx264", "libopenh264"}))
    assert caught.value.hint == "save to .mkv, which takes vp9, av1, mpeg4, mjpeg"


@pytest.mark.parametrize(("save", "name"), [("out.mov", "vp9"), ("out.mp4", "divx"), ("out", "none"), ("o.png", "x")])
def test_an_encoder_that_does_not_fit_is_refused_before_anything_is_made(save: str, name: str, tmp_path: Path) -> None:
    source = open_source("synth:street?frames=1&size=96x64")
    try:
        with pytest.raises(ConfigError, match=f"^encoder {name}: "):
            outputs = Outputs(save=tmp_path / save, encoder=name, json=str(tmp_path / "o.jsonl"))  # type: ignore[arg-type]
            open_sinks(outputs.specs(), [source])
    finally:
        source.close()
    assert list(tmp_path.iterdir()) == []


def test_videos_of_a_folder_are_encoded_as_asked(tmp_path: Path) -> None:
    sink = AnnotatedFolder(tmp_path / "out", OutputNames(), {0: 10.0}, encoder="mpeg4")
    frame = Frame(bars(96, 64), 0, 0.0, 0, "a.avi")
    sink.write(Result(frame, Detections.empty(), Timings(), None))
    sink.close()
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"


def test_the_program_takes_the_option(clip: Path, blob_model: Path, tmp_path: Path) -> None:
    arguments = ["detect", str(clip), "-m", str(blob_model), "--quiet", "--encoder", "mjpeg", "--save"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out.mkv")])
    assert done.exit_code == 0, done.output
    frames = decode(tmp_path / "out.mkv")
    assert len(frames) == 40 and all(frame.key_frame for frame in frames)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no such thing")
@pytest.mark.parametrize("name", [encoder.name for encoder in ENCODERS if is_built(encoder.codec)])
def test_no_encoder_makes_threads_more_urgent_than_they_were(name: EncoderName, tmp_path: Path) -> None:
    def policies() -> set[int]:
        return {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}

    before = policies()
    video = VideoFile(tmp_path / "out.mkv", 10.0, encoder=name)
    for index in range(3):
        write(video, bars(64, 48), index, index / 10)
        assert policies() == before
    video.close()
    assert policies() == before
