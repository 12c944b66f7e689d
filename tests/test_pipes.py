"""Standard input and FIFOs: pictures and videos that can be read only once."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pillow_heif
import pytest
from numpy.typing import NDArray

from keepbusy.errors import FrameError, SourceError
from keepbusy.sources import open_source
from keepbusy.sources.picture import read_image
from tests.build import image_of
from tests.test_faults_videos import read_on, remuxed, write
from tests.test_heic import scene

PROGRAM = (sys.executable, "-m", "keepbusy")
SIZE_WH = (300, 200)

ENDINGS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95},
    "mirrored.jpg": {"quality": 95},
    "png": {},
    "webp": {"lossless": True},
    "bmp": {},
    "tif": {},
    "ppm": {},
    "jp2": {},
    "heic": {"quality": 95},
    "avif": {"quality": 95},
}


def save_picture(path: Path) -> Path:
    image = PIL.Image.fromarray(np.ascontiguousarray(scene(SIZE_WH)[..., ::-1]))
    options = dict(ENDINGS[path.name.partition(".")[2]])
    if path.name.endswith("mirrored.jpg"):
        exif = PIL.Image.Exif()
        exif[0x0112] = 5
        options["exif"] = exif
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, **options)
    else:
        image.save(path, **options)
    return path


def detect(content: bytes, *words: str | Path, source: str | Path = "-") -> subprocess.CompletedProcess[bytes]:
    program = [*PROGRAM, "detect", str(source), *map(str, words)]
    return subprocess.run(program, input=content, capture_output=True, check=False, timeout=120)


def through_a_fifo(tmp_path: Path, content: bytes) -> Path:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def put() -> None:
        # The reader may have had enough.
        with contextlib.suppress(BrokenPipeError), fifo.open("wb", buffering=0) as file:
            for start in range(0, len(content), 1500):
                file.write(content[start : start + 1500])

    threading.Thread(target=put, daemon=True).start()
    return fifo


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_picture_through_a_pipe_is_the_files(ending: str, tmp_path: Path) -> None:
    path = save_picture(tmp_path / f"photo.{ending}")
    frames, errors = read_on(open_source(str(through_a_fifo(tmp_path, path.read_bytes()))))
    assert not errors and len(frames) == 1
    assert np.array_equal(image_of(frames[0]), read_image(path))
    assert frames[0].source.startswith(str(tmp_path / "fifo."))


def test_a_piped_picture_can_be_read_again(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "photo.png")
    source = open_source(str(through_a_fifo(tmp_path, path.read_bytes())))
    for _ in range(2):
        frame = source.read()
        assert np.array_equal(image_of(frame), read_image(path))
        assert source.read() is None
        source.rewind()
    source.close()
    assert source.read() is None


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "heic"])
def test_half_a_picture_through_a_pipe_is_an_error_of_its_own(ending: str, tmp_path: Path) -> None:
    path = save_picture(tmp_path / f"photo.{ending}")
    path.write_bytes(cut(path.read_bytes()))
    of_the_file = ""
    try:
        picture = read_image(path)
    except FrameError as error:
        of_the_file = error.reason
    frames, errors = read_on(open_source(str(through_a_fifo(tmp_path, path.read_bytes()))))
    if of_the_file:
        assert [error.reason for error in errors] == [of_the_file] and not frames
    else:
        assert np.array_equal(image_of(frames[0]), picture)


def motion_jpeg(path: Path) -> bytes:
    """Pictures without anything around them, as cameras write them into a pipe."""
    good = write(path.with_suffix(".avi"), codec="mjpeg", pix_fmt="yuvj420p")
    frames, _ = read_on(open_source(str(good)))
    return b"".join(cv2.imencode(".jpg", image_of(frame))[1].tobytes() for frame in frames)


def pngs(path: Path) -> bytes:
    return b"".join(cv2.imencode(".png", np.full((64, 96, 3), shade, np.uint8))[1].tobytes() for shade in range(60))


VIDEOS: dict[str, Callable[[Path], bytes]] = {
    "mkv": lambda path: write(path.with_suffix(".mkv")).read_bytes(),
    "ts": lambda path: write(path.with_suffix(".ts")).read_bytes(),
    "avi": lambda path: write(path.with_suffix(".avi"), codec="mpeg4").read_bytes(),
    "gif": lambda path: write(path.with_suffix(".gif"), codec="gif", pix_fmt="rgb8").read_bytes(),
    "mjpeg": motion_jpeg,
    "pngs": pngs,
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_video_through_a_pipe_has_all_its_frames(kind: str, tmp_path: Path) -> None:
    content = VIDEOS[kind](tmp_path / "clip")
    source = open_source(str(through_a_fifo(tmp_path, content)))
    frames, errors = read_on(source)
    assert not errors and len(frames) == 60
    with pytest.raises(SourceError, match="a pipe can be read only once"):
        source.rewind()


def test_the_first_picture_of_a_live_pipe_does_not_wait_for_the_end(tmp_path: Path) -> None:
    one = cv2.imencode(".jpg", scene(SIZE_WH))[1].tobytes()
    fifo = tmp_path / "live"
    os.mkfifo(fifo)
    is_seen = threading.Event()

    def put() -> None:
        with contextlib.suppress(BrokenPipeError), fifo.open("wb", buffering=0) as file:
            end_s = time.monotonic() + 60
            while not is_seen.is_set() and time.monotonic() < end_s:
                file.write(one)

    writer = threading.Thread(target=put, daemon=True)
    writer.start()
    source = open_source(str(fifo))
    assert source.read() is not None
    assert writer.is_alive()
    is_seen.set()
    _, errors = read_on(source)
    writer.join()
    assert not errors


def test_an_mp4_with_its_index_last_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4")
    done = detect(path.read_bytes(), "-q")
    error, hint = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert "standard input: an MP4 whose index stands behind its pictures" in error and "+faststart" in hint

    # The same file is read where it is no pipe, and where the index is first.
    with path.open("rb") as file:
        program = [*PROGRAM, "detect", "-", "-q", "--json", "-"]
        redirected = subprocess.run(program, stdin=file, capture_output=True, check=False)
    assert redirected.returncode == 0, redirected.stderr
    assert len(redirected.stdout.splitlines()) == 60
    fast = remuxed(path, tmp_path / "fast.mp4", {"movflags": "+faststart"})
    frames, errors = read_on(open_source(str(through_a_fifo(tmp_path, fast.read_bytes()))))
    assert not errors and len(frames) == 60


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "standard input is empty"),
        (b"# a text\n" * 9, "-: cannot be opened as a video"),
        (b"\0" * 99, "-: cannot"),
    ],
)
def test_what_is_no_video_says_that_it_came_through_standard_input(content: bytes, words: str) -> None:
    done = detect(content, "-q")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("error:") and words in lines[0]
    assert lines[1].startswith("hint:") and ("pipe" in lines[1] or "program before" in lines[1])


def test_a_terminal_is_no_source() -> None:
    of_program, of_user = pty.openpty()
    done = subprocess.run(
        [*PROGRAM, "detect", "-"], stdin=of_user, capture_output=True, check=False, timeout=60, encoding="utf-8"
    )
    os.close(of_program)
    os.close(of_user)
    assert done.returncode == 1 and "standard input is a terminal" in done.stderr


def test_outputs_of_standard_input_have_a_name(tmp_path: Path) -> None:
    picture = save_picture(tmp_path / "photo.jpg").read_bytes()
    done = detect(picture, "-q", "--json", "-", "--save", tmp_path / "out", "--save-txt", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["source"] == "stdin.jpg"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stdin.jpg"]
    video = write(tmp_path / "clip.mkv", 5).read_bytes()
    assert detect(video, "-q", "--save", tmp_path / "clips").returncode == 0
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["stdin.mp4"]


def test_a_noise_of_bytes_never_hangs(tmp_path: Path) -> None:
    noise: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, 200_000, dtype=np.uint8)
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"):
        folder = tmp_path / start.hex()
        folder.mkdir()
        with pytest.raises((SourceError, FrameError)):
            source = open_source(str(through_a_fifo(folder, start + noise.tobytes())))
            while source.read() is not None:
                pass
