"""Pictures by what is in them."""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from keepbusy.errors import FrameError, SourceError
from keepbusy.sources import open_source
from keepbusy.sources.heif import read_items
from keepbusy.sources.images import ImageFiles
from keepbusy.sources.picture import read_image, read_picture
from keepbusy.sources.pipe import PipedPicture
from tests.build import image_of, square_picture, write_picture, write_video


def noise(height: int = 120, width: int = 160) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]])
def test_a_jpeg_that_lacks_its_end_marker_only_is_read(
    tmp_path: Path, options: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    content = cv2.imencode(".jpg", noise(), options)[1].tobytes()
    whole, endless, cut = tmp_path / "whole.jpg", tmp_path / "endless.jpg", tmp_path / "cut.jpg"
    whole.write_bytes(content)
    endless.write_bytes(content[:-2])
    cut.write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert np.array_equal(read_image(endless), read_image(whole))
    assert "endless.jpg" in caplog.text and "whole.jpg" not in caplog.text
    with pytest.raises(FrameError, match="cut short"):
        read_image(cut)


def test_a_jpeg_with_a_frame_header_that_is_too_short_is_one_error(tmp_path: Path) -> None:
    content = cv2.imencode(".jpg", noise())[1].tobytes()[:-2]
    scan = content.index(b"\xff\xda")
    (tmp_path / "short.jpg").write_bytes(content[:scan] + b"\xff\xc0\0\4\0\0" + content[scan:])
    with pytest.raises(FrameError, match="cut short"):
        read_image(tmp_path / "short.jpg")


@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]])
def test_a_jpeg_that_promises_too_many_pixels_is_refused(tmp_path: Path, options: list[int]) -> None:
    content = bytearray(cv2.imencode(".jpg", noise(), options)[1].tobytes())
    frame = content.index(b"\xff\xc2" if options else b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    (tmp_path / "huge.jpg").write_bytes(content)
    for min_long_side_px in (None, 640):
        with pytest.raises(FrameError, match=r"has 65500x65500 pixels, .*more than the 536,870,912"):
            read_picture(tmp_path / "huge.jpg", 0, min_long_side_px)


FAR_BYTES = 300 * 1024
"""OpenCV does not read an AVIF file whose `meta` box begins behind so much."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def heic(item_type: bytes, *, brands: bytes = b"heic\0\0\0\0mif1heic", num_free: int = 0) -> bytes:
    """The boxes before the pixels of a HEIC file with one item.

    Args:
        item_type: The type of the item.
        brands: The content of the `ftyp` box.
        num_free: The size of a box without meaning before the `meta` box, bytes; 0 for none.
    """
    infe = box(b"infe", b"\x02\0\0\0" + b"\0\x01" + b"\0\0" + item_type + b"\0")
    pitm = box(b"pitm", bytes(4) + b"\0\x01")
    iinf = box(b"iinf", bytes(4) + b"\0\x01" + infe)
    free = box(b"free", bytes(num_free)) if num_free else b""
    return box(b"ftyp", brands) + free + box(b"meta", bytes(4) + pitm + iinf)


@pytest.mark.parametrize("name", ["photo.heic", "PHOTO.HEIC", "photo.hif", "photo", "photo.jpg"])
def test_a_heic_of_tiles_that_cannot_be_read_says_what_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(heic(b"grid"))
    with pytest.raises(FrameError, match="is a HEIC picture made of tiles") as caught:
        open_source(tmp_path / name).read()
    assert "JPEG" in (caught.value.hint or "")


def test_a_heic_with_the_ending_of_another_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(heic(b"hvc1"))
    with pytest.raises(FrameError, match="is a HEIC picture, whatever its ending"):
        read_image(tmp_path / "photo.jpg")


@pytest.mark.parametrize("brands", [b"MiHE\0\0\0\0", b"xxxx\0\0\0\0MiHE", b"heic\0\0\0\0mif1"])
@pytest.mark.parametrize("num_free", [0, FAR_BYTES])
def test_a_heic_of_any_brand_and_order_of_boxes_says_what_it_is(tmp_path: Path, brands: bytes, num_free: int) -> None:
    (tmp_path / "photo").write_bytes(heic(b"grid", brands=brands, num_free=num_free))
    with pytest.raises(FrameError, match="is a HEIC picture made of tiles"):
        open_source(tmp_path / "photo").read()


def test_a_picture_whose_boxes_begin_late_is_read_and_turned(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    near, far = tmp_path / "near.avif", tmp_path / "far.avif"
    stored = np.zeros((80, 128, 3), np.uint8)
    stored[8:40, 8:40] = (255, 0, 0)
    PIL.Image.fromarray(stored).save(near, exif=exif.tobytes())
    content = near.read_bytes()
    items = read_items(content)
    assert items is not None
    free = box(b"free", bytes(FAR_BYTES))
    for _, start, length in items.places.values():
        moved = struct.pack(">II", start + len(free), length)
        assert content.count(struct.pack(">II", start, length)) == 1
        content = content.replace(struct.pack(">II", start, length), moved)
    end = int.from_bytes(content[:4], "big")
    far.write_bytes(content[:end] + free + content[end:])
    assert cv2.imread(str(far)) is None
    expected = np.rot90(stored, -1)
    for path in (near, far):
        found = read_image(path)
        assert found.shape == expected.shape
        assert np.abs(found[:, :, ::-1].astype(int) - expected).mean() < 8


def test_a_folder_of_bad_heic_files_gives_each_an_error(tmp_path: Path) -> None:
    for name in ("1.heic", "2.HEIC", "3.hif"):
        (tmp_path / name).write_bytes(heic(b"hvc1"))
    source = open_source(tmp_path)
    for index, name in enumerate(("1.heic", "2.HEIC", "3.hif")):
        with pytest.raises(FrameError, match="is a HEIC picture") as caught:
            source.read()
        assert (caught.value.source, caught.value.frame_index) == (str(tmp_path / name), index)
    assert source.read() is None
    source.close()


def test_an_animated_png_in_a_folder_is_a_video(tmp_path: Path) -> None:
    pages = [PIL.Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]
    pages[0].save(tmp_path / "b.apng", format="PNG", save_all=True, append_images=pages[1:])
    pages[2].save(tmp_path / "a.png")
    pages[0].save(tmp_path / "c.png")
    source = open_source(tmp_path)
    found = []
    while (frame := source.read()) is not None:
        found.append((Path(frame.source).name, frame.index, image_of(frame)[5, 5].tolist()))
    source.close()
    red, green, blue = [0, 0, 255], [0, 255, 0], [255, 0, 0]
    moving = [("b.apng", 0, red), ("b.apng", 1, green), ("b.apng", 2, blue)]
    assert found == [("a.png", 0, blue), *moving, ("c.png", 0, red)]


@pytest.mark.parametrize(("orientation", "turn"), [(1, None), (3, "ROTATE_180"), (6, "ROTATE_90"), (8, "ROTATE_270")])
def test_a_photo_with_exif_data_that_comes_through_a_pipe_is_upright(
    tmp_path: Path, orientation: int, turn: str | None
) -> None:
    upright = np.zeros((80, 128, 3), np.uint8)
    upright[8:40, 8:40] = (255, 0, 0)
    picture = PIL.Image.fromarray(upright)
    if turn is not None:
        picture = picture.transpose(getattr(PIL.Image.Transpose, turn))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.jpg", exif=exif.tobytes(), quality=95)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=((tmp_path / "turned.jpg").read_bytes(),))
    writer.start()
    source = open_source(pipe)
    frame = source.read()
    source.close()
    writer.join()
    assert image_of(frame).shape == upright.shape
    assert np.abs(image_of(frame)[:, :, ::-1].astype(int) - upright).mean() < 8


@pytest.mark.parametrize(("name", "words"), [("m.tif", "3 pages"), ("m.png", "3 pictures"), ("m.webp", "3 pictures")])
def test_pages_that_are_not_read_are_reported_once(
    tmp_path: Path, name: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [PIL.Image.new("RGB", (32, 24), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / f"one_{name}")
    source = open_source(tmp_path)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        for _ in range(2):
            assert source.read() is not None and source.read() is not None
            source.rewind()
    source.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / name}: has {words}, and the first is read"
    ]


def test_a_folder_reads_targa_and_gives_a_bad_heic_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(b"hvc1"))
    PIL.Image.new("RGB", (32, 24), "red").save(tmp_path / "b.tga")
    source = open_source(tmp_path)
    with pytest.raises(FrameError, match="HEIC"):
        source.read()
    frame = source.read()
    assert image_of(frame)[5, 5].tolist() == [0, 0, 255]
    assert source.read() is None
    source.close()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_or_mirrored_avif_is_shown_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((80, 128, 3), np.uint8)
    upright[8:40, 8:40] = (255, 0, 0)
    turn = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    turn |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    picture = PIL.Image.fromarray(upright)
    if orientation in turn:
        picture = picture.transpose(getattr(PIL.Image.Transpose, turn[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.avif"
    picture.save(path, exif=exif.tobytes())
    found = read_image(path)
    assert found.shape == upright.shape
    assert np.abs(found[:, :, ::-1].astype(int) - upright).mean() < 8


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("is_progressive", [0, 1])
def test_a_jpeg_that_lacks_pixels_is_never_called_whole(tmp_path: Path, quality: int, is_progressive: int) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, is_progressive]
    whole = cv2.imencode(".jpg", noise(), options)[1].tobytes()
    expected = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    scans = [place for place in range(len(whole)) if whole[place : place + 2] == b"\xff\xda"][1:]
    path = tmp_path / "cut.jpg"
    num_refused = 0
    for end in [*range(len(whole) - 80, len(whole) - 2), *scans, len(whole) // 2]:
        path.write_bytes(whole[:end])
        try:
            found = read_image(path)
        except FrameError:
            num_refused += 1
            continue
        assert expected is not None and np.array_equal(found, expected), f"cut at {end} of {len(whole)}"
    assert num_refused > 60


def test_a_pipe_gives_every_frame(tmp_path: Path) -> None:
    content = write_video(tmp_path / "clip.ts", num_frames=30).read_bytes()
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    source = open_source(pipe)
    num_frames = 0
    while source.read() is not None:
        num_frames += 1
    source.close()
    writer.join()
    assert num_frames == 30


def detect(*words: str | Path, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "keepbusy", "detect", *map(str, words)]
    return subprocess.run(program, input=given, capture_output=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("name", ["moving.apng", "clip.mov", "still"])
def test_a_named_colour_profile_does_no_harm(tmp_path: Path, name: str) -> None:
    picture = PIL.Image.fromarray(np.ascontiguousarray(noise()[..., ::-1]))
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "one.png", icc_profile=profile)
    path = tmp_path / name
    if name == "moving.apng":
        picture.save(path, "PNG", save_all=True, append_images=[picture.rotate(180)], icc_profile=profile)
    elif name == "still":
        path.write_bytes((tmp_path / "one.png").read_bytes())
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "rgb24"
            for _ in range(2):
                packet = av.Packet((tmp_path / "one.png").read_bytes())
                packet.pts = packet.dts = _
                packet.time_base = Fraction(1, 25)
                packet.stream, packet.is_keyframe = stream, True
                container.mux(packet)
    # PyAV ends the process when the frames are freed.
    done = detect(path, "--json", "-", "-q")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == (1 if name == "still" else 2)


def test_of_an_icon_the_largest_picture_is_read(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.ascontiguousarray(noise()[..., ::-1])).resize((256, 256)).save(tmp_path / "app.ico")
    source = open_source(tmp_path / "app.ico")
    frame = source.read()
    assert frame is not None and (frame.width, frame.height) == (256, 256)
    assert source.read() is None
    source.close()


@pytest.mark.parametrize("word", ["-", "/dev/stdin"])
@pytest.mark.parametrize(("name", "num_frames"), [("clip.ts", 12), ("clip.mkv", 12), ("photo.jpg", 1)])
def test_standard_input_is_a_video_or_a_picture(
    blob_model: Path, tmp_path: Path, word: str, name: str, num_frames: int
) -> None:
    path = tmp_path / name
    if path.suffix == ".jpg":
        write_picture(path, square_picture())
    else:
        write_video(path, num_frames=num_frames)
    done = detect(word, "-m", blob_model, "--json", "-", "-q", given=path.read_bytes())
    assert done.returncode == 0, done.stderr
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    called = "stdin.jpg" if path.suffix == ".jpg" else word
    assert [(frame["source"], frame["index"]) for frame in frames] == [(called, n) for n in range(num_frames)]
    assert all((frame["width"], frame["height"]) == (96, 64) for frame in frames)
    assert frames[0]["detections"][0]["name"] == "red"


def test_empty_standard_input_is_one_error(blob_model: Path) -> None:
    done = detect("-", "-m", blob_model, "-q")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(lines) == 2
    assert lines[0].startswith("error: standard input is empty") and lines[1].startswith("hint:")


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match=r"^/dev/video99: no such file, folder or camera$") as caught:
        open_source("/dev/video99")
    assert "camera number" in (caught.value.hint or "")


def test_a_tiff_of_floating_point_numbers_says_which_are_read(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "float.tif"), np.full((20, 30, 3), 0.5, np.float32))
    with pytest.raises(FrameError, match=r"a TIFF of a kind that is not read \(8 and 16 bits per channel are\)"):
        read_image(tmp_path / "float.tif")


@pytest.mark.parametrize("name", ["big.png", "big.jpg"])
def test_more_pixels_than_opencv_may_read_are_named(blob_model: Path, tmp_path: Path, name: str) -> None:
    path = write_picture(tmp_path / name, square_picture())
    done = detect(path, "-m", blob_model, "-q", OPENCV_IO_MAX_IMAGE_PIXELS="1000")
    error = done.stderr.decode().splitlines()[0]
    assert done.returncode == 1
    assert error.startswith("error: read: ") and "more pixels than OpenCV may read (OPENCV_IO_MAX" in error


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("odd"), RuntimeError("odd"), KeyError("odd")])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_whatever_fails_while_one_picture_is_read_fails_that_picture_only(
    error: Exception, num_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_picture(tmp_path / f"{name}.png", square_picture()) for name in "abc"]
    content = paths[1].read_bytes() + b"bad"
    paths[1].write_bytes(content)

    def lacks_data_or_fails(picture: bytes) -> bool:
        if picture == content:
            raise error
        return False

    monkeypatch.setattr("keepbusy.sources.picture.lacks_data", lacks_data_or_fails)
    source = ImageFiles(paths, str(tmp_path), read_threads=num_threads)
    try:
        assert source.read() is not None
        with pytest.raises(FrameError, match="cannot be read: ") as caught:
            source.read()
        assert (caught.value.source, caught.value.frame_index) == (str(paths[1]), 1)
        assert caught.value.hint and caught.value.__cause__ is error
        last = source.read()
        assert last is not None and last.index == 2
    finally:
        source.close()
    with pytest.raises(FrameError, match="cannot be read: "):
        read_image(paths[1])
    with pytest.raises(FrameError, match="cannot be read: "):
        PipedPicture(content, "-").read()
