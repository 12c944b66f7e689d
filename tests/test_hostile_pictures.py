"""Files made to take all memory or time: sizes with nothing behind them, texts that unpack to GBs, endless pages."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest

from keepbusy import Detector
from keepbusy.cli.parse import parse_pixels
from keepbusy.config import HIGHEST_PIXELS, MAX_PIXELS
from keepbusy.errors import ConfigError, FrameError, SourceError
from keepbusy.sources import open_source
from keepbusy.sources.heif import decode, read_items
from keepbusy.sources.jpeg import MAX_SCANS, read_header
from keepbusy.sources.pages import more_pages
from keepbusy.sources.picture import decode_picture
from keepbusy.sources.png import MAX_UNPACKED_BYTES, lacks_data, unpacks_too_far
from keepbusy.sources.size import promised_size
from tests.build import square_picture, write_picture, write_video
from tests.test_heic import scene, write_heic

SIDE = 30_000
"""Of pictures that are too large: 900 million pixels, 2.7 GB."""

MAX_GROWTH_BYTES = 1 << 29
"""Of the process that reads such files: a fifth of one picture, and far above what the libraries themselves take."""

NUM_PIXELS = 96 * 64
"""Of the small pictures."""

PEAK = """
import re
def peak():  # Not `ru_maxrss`: it begins with what the process had that started this one.
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024
"""
"""The most memory that the process has had, in bytes."""

READ = f"""
{PEAK}
import json, sys
from keepbusy.errors import KeepbusyError
from keepbusy.sources import open_source
import av, cv2
found, begin = {{}}, peak()
for name in sys.argv[2:]:
    found[name] = said = []
    try:
        options = json.loads(sys.argv[1])
        source = open_source(name, read_ahead="read_threads" in options, **options)
        source.frame_sizes()
        while len(said) < 20:
            try:
                frame = source.read()
            except KeepbusyError as error:
                said.append(f"{{type(error).__name__}}: {{error}} | {{error.hint}}")
                continue
            if frame is None:
                break
            said.append([*frame.image.shape[:2]])
        source.close()
    except KeepbusyError as error:
        said.append(f"{{type(error).__name__}}: {{error}} | {{error.hint}}")
print(json.dumps([found, peak() - begin]))
"""


def read_apart(*paths: Path, **options: int) -> tuple[dict[str, list[object]], int]:
    """What reading files gives, in a process of its own, by the file's name, and by how much its memory grew, bytes."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(options), *map(str, paths)],
        capture_output=True,
        timeout=120,
        check=True,
    )
    found, growth = json.loads(done.stdout)
    return {Path(name).name: said for name, said in found.items()}, growth


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, side: int = 64, bits: int = 8, colour: int = 2, pixels: bytes | None = None) -> bytes:
    """A PNG: its header, some chunks, its pixels; black where none are given."""
    row = 1 + side * bits * (3 if colour == 2 else 1) // 8
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    data = zlib.compress(bytes(row * side)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(num_bytes: int) -> bytes:
    """So many zeros, compressed a thousand times."""
    packer, part = zlib.compressobj(9), bytes(1 << 20)
    return b"".join([*(packer.compress(part) for _ in range(num_bytes >> 20)), packer.flush()])


def encoded(ending: str, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None = None) -> bytearray:
    return bytearray(cv2.imencode(ending, square_picture() if picture is None else picture)[1].tobytes())


def saved(kind: str, **options: object) -> bytearray:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(square_picture()[..., ::-1])).save(file, kind, **options)
    return bytearray(file.getvalue())


def patched(content: bytearray, place: int, form: str, side: int = SIDE, *, by: int = 0) -> bytes:
    """A file with another width and height in its header."""
    struct.pack_into(form, content, place, side - by, side - by)
    return bytes(content)


def tiff(width: int, height: int, *, order: str = "<", extra: int = 0, following: int = 0) -> bytes:
    """A TIFF without compression, all black; `extra` zeros behind it."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, height)]
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in [*tags, (279, width * height)])
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", 9)
    return (head + entries + struct.pack(f"{order}I", following)).ljust(200, b"\0") + bytes(extra)


def jpeg2000(*, is_bare: bool) -> bytes:
    content = encoded(".jp2")
    start = content.index(b"\xff\x4f\xff\x51")
    content = bytearray(patched(content, start + 8, ">II"))
    content = bytearray(patched(content, start + 24, ">II"))
    return bytes(content[start:]) if is_bare else bytes(content)


def avif(*, side: int = SIDE) -> bytes:
    content = saved("AVIF")
    return patched(content, content.index(b"ispe") + 8, ">II", side)


def targa(side: int) -> bytes:
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, side, side, 24, 0) + bytes(100)


def icon(content: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(content), 22) + content


def canvas() -> bytes:
    """A WebP with a canvas of its own."""
    content = saved("WEBP", save_all=True, append_images=[PIL.Image.new("RGB", (96, 64), "red")], duration=40)
    side = struct.pack("<I", SIDE - 1)[:3]
    content[24:30] = side + side
    return bytes(content)


HUGE: dict[str, Callable[[], bytes]] = {
    "whole.png": lambda: png(side=SIDE, bits=1, colour=0, pixels=zeros(SIDE * (1 + SIDE // 8))),
    "damaged.png": lambda: png(side=SIDE, pixels=b""),
    "photo.jpg": lambda: patched(encoded(".jpg"), encoded(".jpg").index(b"\xff\xc0") + 5, ">HH"),
    "photo.mpo": lambda: patched(saved("JPEG"), saved("JPEG").index(b"\xff\xc0") + 5, ">HH"),
    "canvas.webp": canvas,
    "scan.tif": lambda: tiff(SIDE, SIDE),
    "other-order.tiff": lambda: tiff(SIDE, SIDE, order=">"),
    "picture.bmp": lambda: patched(encoded(".bmp"), 18, "<ii"),
    "upside-down.bmp": lambda: struct.pack("<2sIHHIIii", b"BM", 154, 0, 0, 54, 40, SIDE, -SIDE) + bytes(128),
    "picture.ppm": lambda: b"P6\n# made by hand\n30000 30000\n255\n",
    "picture.pnm": lambda: b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
    "map.jp2": lambda: jpeg2000(is_bare=False),
    "bare.jp2": lambda: jpeg2000(is_bare=True),
    "sun.bmp": lambda: struct.pack(">8I", 0x59A66A95, SIDE, SIDE, 24, 0, 1, 0, 0) + bytes(100),
    "light.bmp": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + bytes(100),
    "floats.bmp": lambda: b"PF\n30000 30000\n-1.0\n" + bytes(100),
    "gif.png": lambda: patched(saved("GIF"), 6, "<HH"),
    "picture.avif": avif,
    "picture.heic": lambda: avif().replace(b"avif", b"heic", 1),
    "picture.tga": lambda: targa(SIDE),
}


def test_a_picture_of_any_kind_that_promises_too_many_pixels_is_refused_unread(tmp_path: Path) -> None:
    for name, make in HUGE.items():
        (tmp_path / name).write_bytes(make())
    found, growth = read_apart(*(tmp_path / name for name in HUGE))
    for name, said in found.items():
        path = tmp_path / name
        assert said == [
            f"FrameError: read: {path}: frame 0: the file has 30000x30000 pixels, 900,000,000 in all: more than the "
            "536,870,912 that are allowed | where there is memory for it, `max_pixels` 900000000 allows it"
        ], name
    assert growth < MAX_GROWTH_BYTES


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm", ".pgm", ".pbm", ".jp2", ".gif"])
def test_the_promised_size_is_that_of_the_picture(ending: str) -> None:
    random = np.random.default_rng(3)
    for height, width in ((37, 300), (64, 96), (259, 33)):
        picture = random.integers(0, 256, (height, width, 3), np.uint8)
        content = bytes(encoded(ending, picture[..., 0] if ending in (".pgm", ".pbm") else picture))
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        header = read_header(content)
        assert (header.shape_hw if header else promised_size(content, "")) == decoded.shape[:2] == (height, width)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("AVIF", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("PNG", {}),
        ("JPEG2000", {}),
        ("TGA", {}),
        ("MPO", {}),
    ],
)
def test_a_picture_may_have_just_as_many_pixels_as_are_allowed(kind: str, options: dict[str, object]) -> None:
    content, name = bytes(saved(kind, **options)), f"photo.{kind.lower()}"
    for max_pixels in (NUM_PIXELS, 1e4):
        assert decode_picture(content, name, max_pixels=int(max_pixels)).shape == (64, 96, 3)  # type: ignore[union-attr]
    with pytest.raises(FrameError, match="96x64 pixels, 6,144 in all: more than the 6,143 that are allowed") as caught:
        decode_picture(content, name, 7, max_pixels=NUM_PIXELS - 1)
    assert (caught.value.stage, caught.value.frame_index, caught.value.source) == ("read", 7, name)


@pytest.mark.parametrize("ending", sorted(HUGE))
def test_headers_that_are_cut_anywhere_do_no_harm(ending: str) -> None:
    content = HUGE[ending]() if ending != "whole.png" else png(side=SIDE, pixels=b"")
    for end in range(min(len(content), 400)):
        with pytest.raises(FrameError):
            decode_picture(content[:end], ending)


def detect(*words: object, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "keepbusy", "detect", *map(str, words)]
    return subprocess.run(program, input=given, capture_output=True, env={**os.environ}, check=False, timeout=120)


@pytest.mark.parametrize("how", ["folder", "list", "glob"])
def test_the_others_of_a_folder_go_on(blob_model: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / "1.png", square_picture())
    (folder / "2.png").write_bytes(png(side=SIDE, pixels=b""))
    write_picture(folder / "3.jpg", square_picture())
    write_video(folder / "4.mp4", num_frames=2, size_wh=(320, 320))
    (tmp_path / "list.txt").write_text("".join(f"pictures/{one.name}\n" for one in sorted(folder.iterdir())))
    source = {"folder": folder, "list": tmp_path / "list.txt", "glob": f"{folder}/*"}[how]
    done = detect(source, "-m", blob_model, "--max-pixels", "0.1M", "-q")
    assert done.returncode == 2 and b"--max-pixels: '0.1M' is no number of pixels" in done.stderr
    done = detect(source, "-m", blob_model, "--on-error", "skip", "--json", "-", "-q", "--max-pixels", "100000")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    errors = [record.get("error") for record in records]
    assert [error is None for error in errors] == [True, False, True, False], done.stderr
    assert "30000x30000 pixels" in str(errors[1]) and "the video has 320x320 pixels, 102,400 in all" in str(errors[3])


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".avif"])
def test_a_picture_from_a_pipe_has_the_same_limit(blob_model: Path, tmp_path: Path, ending: str) -> None:
    content = bytes(saved("AVIF")) if ending == ".avif" else bytes(encoded(ending))
    words = ("-m", blob_model, "-q", "--json", "-", "--max-pixels")
    assert detect("-", *words, NUM_PIXELS, given=content).returncode == 0
    done = detect("-", *words, NUM_PIXELS - 1, given=content)
    assert done.returncode == 1
    assert f"stdin{ending}: frame 0: the file has 96x64 pixels" in done.stderr.decode()
    assert b"hint: where there is memory for it, --max-pixels 6144 allows it" in done.stderr
    pipe = tmp_path / f"pipe{ending}"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    # By its ending it is a picture, and by its kind a pipe.
    source = open_source(pipe, max_pixels=NUM_PIXELS - 1)
    with pytest.raises(FrameError, match="96x64 pixels"):
        source.read()
    writer.join()
    source.close()


def test_a_detector_has_the_limit_too(blob_model: Path, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "photo.png", square_picture())
    assert len(Detector(blob_model, max_pixels=NUM_PIXELS)(path))
    with pytest.raises(FrameError, match="more than the 6,143 that are allowed"):
        Detector(blob_model, max_pixels=NUM_PIXELS - 1)(path)
    with pytest.raises(ConfigError, match="max_pixels: 0 is out of range"):
        Detector(blob_model, max_pixels=0)


@pytest.mark.parametrize("command", ["eval", "verify", "optimize", "bench", "tune"])
def test_other_commands_have_the_limit_too(blob_model: Path, tmp_path: Path, command: str) -> None:
    for name in ("1.png", "2.png"):
        write_picture(tmp_path / name, square_picture())
        (tmp_path / name).with_suffix(".txt").write_text("0 0.3 0.5 0.3 0.5\n")
    words: dict[str, list[str | Path]] = {
        "eval": ["--data", tmp_path, "-m", blob_model],
        "optimize": ["--data", tmp_path, "-o", tmp_path / "made"],
        "tune": [tmp_path, "-m", blob_model, "-o", tmp_path / "profile.yaml", "--budget", "1"],
    }
    given = words.get(command, [tmp_path, "-m", blob_model])
    program = [sys.executable, "-m", "keepbusy", command, *given, "--max-pixels", "6143"]
    done = subprocess.run(list(map(str, program)), capture_output=True, check=False, timeout=120)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert ("6,143" in said) or (command == "optimize" and "no frames that can be read" in said), said


def test_numbers_of_pixels_are_read_with_millions() -> None:
    assert [parse_pixels(text) for text in (None, "1", "300m", "2M ")] == [MAX_PIXELS, 1, 300_000_000, 2_000_000]
    assert parse_pixels("9" * 15 + "M") == HIGHEST_PIXELS
    for text in ("", "0", "0M", "-1", "1e9", "1.5M", "10G", "٣"):
        with pytest.raises(ConfigError, match="is no number of pixels"):
            parse_pixels(text)


def video(
    path: Path, codec: str, *sizes_wh: tuple[int, int], pix_fmt: str = "yuv420p", kind: str | None = None
) -> Path:
    """Encode five frames of each size, one behind the other as streams are joined."""
    content = b""
    for width, height in sizes_wh:
        file = io.BytesIO()
        with av.open(file, "w", format=kind or path.suffix[1:]) as container:
            stream = container.add_stream(codec, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            for grey in range(0, 250, 50):
                picture = np.full((height, width, 3), grey, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
            container.mux(stream.encode())
        content += file.getvalue()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("clip.mov", "qtrle", "rgb24"), ("clip.avi", "ffv1", "yuv420p"), ("clip.avi", "huffyuv", "yuv422p")],
)
@pytest.mark.parametrize("side", [SIDE, 65_535])
def test_a_container_that_promises_too_many_pixels_is_refused(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, side: int
) -> None:
    path = video(tmp_path / name, codec, (96, 64), pix_fmt=pix_fmt)
    content = bytearray(path.read_bytes())
    small, large = (struct.pack(form, 96, 64) for form in ("<II", ">HH")), (struct.pack("<II", side, side),)
    for old, new in zip(small, (*large, struct.pack(">HH", side, side)), strict=True):
        content = content.replace(old, new)
    path.write_bytes(content)
    found, growth = read_apart(path)
    said = found[name]
    assert len(said) == 5
    assert all("a picture of the video has more pixels than the 268,435,456 that are" in str(one) for one in said)
    assert growth < MAX_GROWTH_BYTES


def test_a_picture_in_a_video_that_promises_too_many_pixels_fails_alone(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mov", "png", (96, 64), pix_fmt="rgb24")
    content = bytearray(path.read_bytes())
    place = content.index(b"IHDR", content.index(b"IHDR") + 1)
    struct.pack_into(">II", content, place + 4, SIDE, SIDE)
    struct.pack_into(">I", content, place + 17, zlib.crc32(content[place : place + 17]))
    path.write_bytes(content)
    found, growth = read_apart(path)
    said = found["clip.mov"]
    assert [isinstance(one, list) for one in said] == [True, False, True, True, True]
    assert "30000x30000 pixels, 900,000,000 in all: more than the 268,435,456 that are allowed" in str(said[1])
    assert "FFmpeg decodes no more" in str(said[1])
    assert growth < MAX_GROWTH_BYTES


@pytest.mark.parametrize(
    ("name", "content"),
    [("app.ico", icon(png(side=SIDE, pixels=b""))), ("moving.gif", patched(saved("GIF"), 6, "<HH"))],
)
def test_icons_and_animations_have_the_limit_too(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found, growth = read_apart(tmp_path / name)
    assert "a picture of the video has 30000x30000 pixels" in str(found[name][0])
    assert growth < MAX_GROWTH_BYTES


@pytest.mark.parametrize("read_threads", [1, 3])
@pytest.mark.parametrize(
    ("name", "codec"), [("clip.h264", "libx264"), ("clip.ts", "libx264"), ("clip.hevc", "libx265")]
)
def test_a_stream_that_becomes_too_large_fails_there_and_goes_on(
    tmp_path: Path, name: str, codec: str, read_threads: int
) -> None:
    kind = "mpegts" if name == "clip.ts" else None
    path = video(tmp_path / name, codec, (96, 64), (960, 640), (96, 64), kind=kind)
    source = open_source(path, max_pixels=100_000, read_threads=read_threads)
    seen: list[str] = []
    while True:
        try:
            frame = source.read()
        except FrameError as error:
            seen.append(error.reason if error.frame_index == len(seen) else f"at {error.frame_index}")
            continue
        if frame is None:
            break
        assert frame.image is not None and frame.image.shape == (64, 96, 3)
        seen.append("")
    source.close()
    refused = [reason for reason in seen if reason]
    assert 1 <= len(refused) <= 5
    assert all("a picture of the video has 960x640 pixels, 614,400 in all" in reason for reason in refused)
    assert seen.count("") >= 7 and seen[0] == seen[-1] == ""


def test_a_damaged_packet_is_not_called_too_large(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mov", "png", (96, 64), pix_fmt="rgb24")
    content = bytearray(path.read_bytes())
    place = content.index(b"IHDR", content.index(b"IHDR") + 1)
    content[place : place + 4] = b"ihdr"
    path.write_bytes(content)
    source = open_source(path, max_pixels=NUM_PIXELS)
    source.read()
    with pytest.raises(FrameError, match="a damaged part of the video"):
        source.read()
    source.close()


@pytest.mark.parametrize(("bits", "colour"), [(1, 0), (8, 0), (8, 2), (16, 2), (8, 6), (8, 3)])
def test_a_png_that_is_too_short_for_its_pixels_is_damaged(bits: int, colour: int) -> None:
    side, channels = 4096, {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    row_bytes = 1 + side * bits * channels // 8
    whole = png(side=side, bits=bits, colour=colour, pixels=zlib.compress(bytes(row_bytes * side), 9))
    # As short as it can be made.
    assert not lacks_data(whole)
    short = png(side=side, bits=bits, colour=colour, pixels=b"")
    assert lacks_data(short)
    with pytest.raises(FrameError, match="is a PNG that is cut short"):
        decode_picture(short, "short.png")
    interlaced = io.BytesIO()
    PIL.Image.new("L", (1, 4096)).save(interlaced, "PNG", interlace=1, optimize=True)
    assert not lacks_data(interlaced.getvalue())


def test_a_png_of_few_bytes_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "short.png").write_bytes(png(side=20_000, pixels=zlib.compress(bytes(1000))))
    (tmp_path / "moving.png").write_bytes(
        png(chunk(b"acTL", struct.pack(">II", 9, 0)), side=20_000, pixels=zlib.compress(bytes(1000)))
    )
    found, growth = read_apart(tmp_path / "short.png", tmp_path / "moving.png")
    assert all("is a PNG that is cut short" in str(said) for said in found.values())
    assert growth < MAX_GROWTH_BYTES


TEXTS = {"zTXt": b"a\0\0", "iTXt": b"a\0\1\0en\0a\0", "iCCP": b"a\0\0"}


@cache
def text_bomb(kind: str) -> bytes:
    """A chunk of 1 MB that unpacks to 1 GB."""
    return chunk(kind.encode(), TEXTS[kind] + zeros(1 << 30))


@pytest.mark.parametrize("read_threads", [1, 4])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_picture_that_fails_in_a_video_is_reported_once(tmp_path: Path, place: int, read_threads: int) -> None:
    contents = [png() for _ in range(5)]
    contents[place] = png(side=960, pixels=b"")
    path = joined(tmp_path / "clip.mov", contents)
    said = read_apart(path, read_threads=read_threads, max_pixels=10_000)[0]["clip.mov"]
    assert [isinstance(one, list) for one in said] == [index != place for index in range(5)], said
    assert f"frame {place}: a picture of the video has " in str(said[place])
    # With threads the failure comes with a later packet, and the size may not be known.
    assert "960x960 pixels, 921,600 in all" in str(said[place]) or read_threads > 1
    contents[place] = png(text_bomb("zTXt"))
    found, growth = read_apart(joined(path, contents), read_threads=read_threads)
    said = found["clip.mov"]
    assert [isinstance(one, list) for one in said] == [index != place for index in range(5)], said
    assert f"frame {place}: a damaged part of the video" in str(said[place])
    assert growth < MAX_GROWTH_BYTES


def joined(path: Path, contents: list[bytes]) -> Path:
    """PNGs as the pictures of a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        for index, content in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            container.mux(packet)
    return path


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_that_unpack_to_a_gigabyte_take_no_memory(tmp_path: Path, kind: str) -> None:
    assert unpacks_too_far(png(text_bomb(kind))) and not unpacks_too_far(png(chunk(b"zTXt", b"a\0\0" + zeros(1 << 20))))
    moving = chunk(b"acTL", struct.pack(">II", 1, 0)) + text_bomb(kind)
    first = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0))
    (tmp_path / "moving.apng").write_bytes(png(moving, first))
    (tmp_path / "still.png").write_bytes(png(text_bomb(kind)))
    (tmp_path / "app.ico").write_bytes(icon(png(text_bomb(kind))))
    joined(tmp_path / "clip.mov", [png(), png(text_bomb(kind)), png()])
    found, growth = read_apart(*(tmp_path / name for name in ("still.png", "moving.apng", "app.ico", "clip.mov")))
    assert found["still.png"] == [[64, 64]]
    assert "SourceError" in str(found["moving.apng"]) and "are too long" in str(found["moving.apng"])
    assert "are too long" in str(found["app.ico"])
    assert [isinstance(one, list) for one in found["clip.mov"]] == [True, False, True]
    assert growth < MAX_GROWTH_BYTES
    assert MAX_UNPACKED_BYTES < MAX_GROWTH_BYTES


def test_many_small_texts_count_together(tmp_path: Path) -> None:
    parts = [chunk(b"zTXt", b"a%d\0\0" % number + zeros(1 << 20)) for number in range(80)]
    assert not unpacks_too_far(png(*parts[:60])) and unpacks_too_far(png(*parts))
    first = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0))
    (tmp_path / "moving.apng").write_bytes(png(chunk(b"acTL", struct.pack(">II", 1, 0)), *parts, first))
    with pytest.raises(SourceError, match="its texts or its colour profile are too long"):
        open_source(tmp_path / "moving.apng")


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    content = bytes(cv2.imencode(".jpg", square_picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    begin = content.index(b"\xff\xda")
    scan = content[begin : content.index(b"\xff\xda", begin + 2)]
    assert decode_picture(content, "photo.jpg").shape == (64, 96, 3)  # type: ignore[union-attr]
    with pytest.raises(FrameError, match="is a JPEG of 2000 scans: more than 200 are not read"):
        decode_picture(content[:begin] + scan * 2000 + b"\xff\xd9", "photo.jpg")
    assert MAX_SCANS == 200
    once = read_header(bytes(encoded(".jpg")))
    assert once is not None and once.is_scanned_once


def test_of_two_frame_headers_the_larger_counts() -> None:
    content = bytes(encoded(".jpg"))
    place = content.index(b"\xff\xc0")
    frame = bytearray(content[place : place + 19])
    struct.pack_into(">HH", frame, 5, SIDE, SIDE)
    for twice in (
        content[:2] + bytes(frame) + content[2:],
        content[: place + 19] + bytes(frame) + content[place + 19 :],
    ):
        with pytest.raises(FrameError, match="30000x30000 pixels"):
            decode_picture(twice, "photo.jpg")


@pytest.mark.timeout(20)
def test_directories_of_a_tiff_that_lie_over_each_other_end() -> None:
    """Ten thousand of them in 1 MB: each begins 16 bytes behind the one before, and has 65535 entries."""
    num_directories, entries_bytes = 10_000, 12 * 0xFFFF
    start = 200 + 96 * 64
    first = tiff(96, 64, extra=96 * 64, following=start)
    links = b"".join(struct.pack("<I", start + 16 * number).ljust(16, b"\xff") for number in range(1, num_directories))
    content = first + b"\xff" * (2 + entries_bytes) + links
    assert decode_picture(content, "scan.tif").shape == (64, 96, 3)  # type: ignore[union-attr]
    assert more_pages(content) == "has 4 pages"


def test_a_tiff_that_leads_back_to_its_beginning_has_one_page(tmp_path: Path) -> None:
    (tmp_path / "round.tif").write_bytes(tiff(96, 64, extra=96 * 64, following=8))
    assert read_apart(tmp_path / "round.tif")[0] == {"round.tif": [[64, 96]]}


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


@pytest.mark.timeout(20)
def test_parts_of_items_that_take_no_room_are_not_counted_one_by_one() -> None:
    entry = struct.pack(">HHHHH", 1, 0, 0, 0xFFFF, 0)[:10]
    places = box(b"iloc", b"\1\0\0\0" + b"\0\0" + struct.pack(">H", 60_000) + entry[:8] * 60_000)
    content = box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + places)
    items = read_items(content)
    assert items is not None and set(items.places) == {1}


def test_tiles_are_not_decoded_to_more_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_heic(tmp_path / "photo.heic", scene((300, 200)), monkeypatch).read_bytes()
    covered = 384 * 256  # By six tiles of 128x128.
    assert promised_size(content, "") == (256, 384)
    assert decode(content, covered).shape == (200, 300, 3)
    with pytest.raises(ValueError, match="its parts have more than 98,303 pixels together"):
        decode(content, covered - 1)
    with pytest.raises(FrameError, match="384x256 pixels, 98,304 in all: more than the 60,000 that are allowed"):
        decode_picture(content, "photo.heic", max_pixels=60_000)


def test_a_picture_that_its_decoder_finds_too_large_is_one_error() -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (400, 300)).save(file, "AVIF")
    with pytest.raises(ValueError, match="out of range"):
        decode(file.getvalue(), 1)


def test_a_png_whose_chunk_promises_gigabytes_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((64, 96, 3), np.uint8))
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") - 4
    content[place : place + 4] = (0x8000_1838).to_bytes(4, "big")
    path.write_bytes(content)
    check = (
        f"{PEAK}\n"
        "import sys; from pathlib import Path; from keepbusy.sources.picture import read_image\n"
        "from keepbusy.errors import FrameError\n"
        "try: read_image(Path(sys.argv[1]))\n"
        "except FrameError as error: print(error.message)\n"
        "print(peak())"
    )
    done = subprocess.run([sys.executable, "-c", check, path], capture_output=True, encoding="utf-8", check=True)
    message, peak_bytes = done.stdout.splitlines()
    assert "cut short" in message and int(peak_bytes) < 1_000_000_000
