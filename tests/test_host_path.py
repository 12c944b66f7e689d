from __future__ import annotations

import dataclasses
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.cli.app import app
from keepbusy.pictures.letterbox import Laying, Letterboxer
from keepbusy.pictures.planes import Converter, Planes, Reduced, shrink
from keepbusy.sources import Selection, Source, container, open_source
from keepbusy.sources.images import ImageFiles
from keepbusy.values.forms import Fit
from keepbusy.values.frame import Frame, Image
from tests.build import read_video, square_picture, write_picture, write_video

BT709 = (0.2126, 0.0722)
BT601 = (0.299, 0.114)
COLOURS_BGR = ((200, 40, 30), (30, 180, 60), (20, 50, 220), (128, 128, 128), (240, 235, 245), (12, 15, 10))


class Untouchable:
    """A picture whose pixels nobody may ask for."""

    shape_hw = (360, 640)

    @property
    def image(self) -> Image:
        raise AssertionError("the picture was converted")


def smooth(size_wh: tuple[int, int], seed: int = 0) -> Image:
    """A picture without hard edges: uint8 (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(20, 236, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


def decoded_of(
    bgr: Image, format_name: str = "yuv420p", *, space: int = Colorspace.ITU601, is_full: bool = False
) -> av.VideoFrame:
    """What a decoder would give for a picture, tagged with its matrix and range."""
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
    made = frame.reformat(
        format=format_name,
        dst_colorspace=space,
        dst_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
    )
    assert made.format.name == format_name
    return made


def planes_of(bgr: Image, format_name: str = "yuv420p", **tags: object) -> Planes:
    decoded = decoded_of(bgr, format_name, **tags)  # type: ignore[arg-type]
    assert Planes.fits(decoded)
    return Planes(decoded, Converter())


def encode_plain_colours(path: Path, weights: tuple[float, float], is_full: bool) -> Path:
    """A video of plain colours, whose Y, U and V are computed here by the standards' formulas, and tagged."""
    red_weight, blue_weight = weights
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuvj420p" if is_full else "yuv420p"
        context = stream.codec_context
        context.colorspace = 1 if weights == BT709 else 6
        context.color_range = 2 if is_full else 1
        for blue, green, red in COLOURS_BGR:
            y = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
            u, v = (blue - y) / (1 - blue_weight) / 2, (red - y) / (1 - red_weight) / 2
            if not is_full:
                y, u, v = 16 + y * 219 / 255, u * 224 / 255, v * 224 / 255
            frame = av.VideoFrame(256, 128, stream.pix_fmt)
            for plane, value in zip(frame.planes, (y, u + 128, v + 128), strict=True):
                plane.update(bytes([round(value)]) * plane.buffer_size)
            frame.colorspace, frame.color_range = context.colorspace, context.color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("weights", [BT601, BT709])
def test_colours_follow_the_videos_matrix_and_range(
    tmp_path: Path, weights: tuple[float, float], is_full: bool
) -> None:
    path = encode_plain_colours(tmp_path / "colours.mp4", weights, is_full)
    tensor = np.zeros((64, 96, 3), np.uint8)
    letterboxer = Letterboxer(tensor)
    source = open_source(path, read_ahead=False)
    for colour in COLOURS_BGR:
        frame = source.read()
        assert frame is not None and isinstance(frame.picture, Planes) and frame.image is not None
        letterboxer.write(frame.picture)
        np.testing.assert_allclose(tensor[32, 48], colour, atol=4)
        np.testing.assert_allclose(frame.image[64, 128], colour, atol=4)
    source.close()


@pytest.mark.parametrize("format_name", ["yuv420p", "yuvj420p", "nv12"])
@pytest.mark.parametrize("size_wh", [(640, 360), (641, 361), (318, 243), (2, 2)])
def test_the_picture_is_what_ffmpeg_makes_of_the_frame(format_name: str, size_wh: tuple[int, int]) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    planes = planes_of(bgr, format_name, is_full=format_name == "yuvj420p")
    # Interleaved colours, as hardware gives them, become the very picture that software's planes become.
    apart = planes.decoded.reformat(format="yuv420p") if format_name == "nv12" else planes.decoded
    expected = apart.to_ndarray(format="bgr24")
    assert planes.shape_hw == (size_wh[1], size_wh[0])
    np.testing.assert_array_equal(planes.image, expected)
    assert planes.image.flags.c_contiguous and planes.image.dtype == np.uint8
    assert planes.image is planes.image


@pytest.mark.parametrize("fit", ["letterbox", "corner", "stretch", "crop"])
@pytest.mark.parametrize(
    ("format_name", "space", "is_full"),
    [("yuv420p", Colorspace.ITU601, False), ("yuvj420p", Colorspace.ITU709, True), ("nv12", Colorspace.ITU709, False)],
)
def test_planes_made_smaller_first_give_the_same_tensor(
    fit: Fit, format_name: str, space: Colorspace, is_full: bool
) -> None:
    ours, theirs = np.zeros((2, 96, 162, 3), np.uint8)
    ours_to, theirs_to = Letterboxer(ours, Laying(fit)), Letterboxer(theirs, Laying(fit))
    for number, size_wh in enumerate([(641, 361), (641, 361), (384, 216), (243, 401), (1280, 720), (324, 182)]):
        planes = planes_of(smooth(size_wh, number), format_name, space=space, is_full=is_full)
        plain = planes_of(smooth(size_wh, number), format_name, space=space, is_full=is_full).image
        assert ours_to.write(planes) == theirs_to.write(plain)
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.mean() < 1.5 and difference.max() <= 8, (size_wh, difference.mean(), difference.max())


@pytest.mark.parametrize("size_wh", [(96, 64), (40, 30), (96, 20), (90, 11)])
def test_planes_that_would_not_get_smaller_give_exactly_the_same_tensor(size_wh: tuple[int, int]) -> None:
    ours, theirs = np.zeros((2, 64, 96, 3), np.uint8)
    planes = planes_of(np.random.default_rng(1).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8))
    Letterboxer(ours).write(planes)
    Letterboxer(theirs).write(planes.image)
    np.testing.assert_array_equal(ours, theirs)


def test_numbering_a_frame_anew_does_not_convert_it(tmp_path: Path) -> None:
    frame = Frame(Untouchable(), 3, 0.3, 0, "a.mp4")
    moved = dataclasses.replace(frame, index=7, source_id=2)
    assert (moved.index, moved.source_id, moved.width, moved.height) == (7, 2, 640, 360)
    with pytest.raises(AssertionError, match="converted"):
        _ = moved.image
    assert Frame(None, 0, 0.0, 0, "a").image is None
    assert Frame(None, 0, 0.0, 0, "a").width == 0


def test_a_run_whose_frames_nobody_looks_at_converts_none(
    tmp_path: Path, blob_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "big.mp4", num_frames=12, size_wh=(192, 128))
    with kb.Pipeline(blob_model, nireq=3) as pipeline, kb.Pipeline(blob_model, mode="sync") as one_by_one:
        looked = [(result.detections, result.frame.image is not None) for result in pipeline.run(path)]
        monkeypatch.setattr(Converter, "convert", lambda *_: pytest.fail("a frame was converted"))
        for runner in (pipeline, one_by_one):
            results = list(runner.run(path, loop=True, limit=24))
            assert {(result.frame.width, result.frame.height) for result in results} == {(192, 128)}
            for result in results:
                expected = looked[result.frame.index % 12][0]
                assert len(expected) > 0
                assert result.detections.boxes_xyxy.tobytes() == expected.boxes_xyxy.tobytes()
                assert result.detections.confidence.tobytes() == expected.confidence.tobytes()


def test_frames_kept_from_a_whole_video_become_what_they_were(clip: Path) -> None:
    source = open_source(clip)
    kept: list[Frame] = []
    while (frame := source.read()) is not None:
        kept.append(frame)
    source.close()
    images: list[Image | None] = []
    thread = threading.Thread(target=lambda: images.extend(frame.image for frame in kept))
    thread.start()
    thread.join()
    expected = read_video(clip)
    assert len(images) == len(expected) == 40
    for image, wanted in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, wanted)


def test_frames_travel_to_other_processes_as_bgr(tmp_path: Path, clip: Path) -> None:
    video, folder = open_source(clip), ImageFiles([write_jpeg(tmp_path / "big.jpg", smooth((800, 600)))], "test")
    folder.allow_reduced(100)
    for source in (video, folder):
        frame = source.read()
        source.close()
        assert frame is not None and isinstance(frame.picture, (Planes, Reduced))
        arrived = pickle.loads(pickle.dumps(frame))
        assert isinstance(arrived.picture, np.ndarray)
        np.testing.assert_array_equal(arrived.image, frame.image)
        assert (arrived.index, arrived.source) == (frame.index, frame.source)


def test_other_pixel_formats_and_turned_videos_are_converted_when_read(tmp_path: Path) -> None:
    path = tmp_path / "full_colour.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(square_picture(), format="bgr24")))
        container.mux(stream.encode())
    source = open_source(path)
    frame = source.read()
    source.close()
    assert frame is not None and isinstance(frame.picture, np.ndarray)
    np.testing.assert_array_equal(frame.picture, read_video(path)[0])


def runs_beside_python(work: Callable[[], object]) -> bool:
    """Whether another thread gets a turn while `work` is repeated, with none given away by the interpreter."""
    has_begun, was_seen, is_over = threading.Event(), False, False

    def repeat() -> None:
        nonlocal is_over
        has_begun.set()
        for _ in range(400):
            work()
            if was_seen:
                return
        is_over = True

    thread = threading.Thread(target=repeat)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread.start()
        has_begun.wait()
        was_seen = not is_over
        thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    return was_seen


def test_preparing_and_converting_release_the_gil() -> None:
    planes = planes_of(smooth((1920, 1080)))
    window = np.zeros((360, 640, 3), np.uint8)
    converter = Converter()
    assert runs_beside_python(lambda: shrink(planes, window))
    assert runs_beside_python(lambda: converter.convert(planes.decoded))
    assert not runs_beside_python(lambda: sum(range(100)))


def write_folder(folder: Path, num_pictures: int) -> list[Path]:
    return [
        write_picture(folder / f"{number:03}.png", np.full((8, 12, 3), number, np.uint8))
        for number in range(num_pictures)
    ]


def values_of(source: Source) -> list[tuple[int, int]]:
    """Index and grey of each frame; -1 for one that cannot be read."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            frame = source.read()
        except kb.FrameError as error:
            found.append((error.frame_index, -1))
            continue
        if frame is None:
            return found
        assert frame.image is not None
        found.append((frame.index, int(frame.image[0, 0, 0])))


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("keepbusy-read-picture")]


@pytest.mark.parametrize("read_threads", [1, 2, 5, None])
def test_pictures_read_by_several_threads_keep_their_order_and_their_errors(
    tmp_path: Path, read_threads: int | None
) -> None:
    paths = write_folder(tmp_path, 30)
    for damaged in (0, 7, 8, 29):
        paths[damaged].write_bytes(b"no picture")
    expected = [(number, -1 if number in (0, 7, 8, 29) else number) for number in range(30)]
    source = open_source(tmp_path, read_threads=read_threads)
    assert values_of(source) == expected
    source.rewind()
    assert values_of(source) == expected
    source.close()
    source.close()
    assert source.read() is None and not reader_threads()


def test_threads_are_started_only_where_they_help(tmp_path: Path) -> None:
    write_folder(tmp_path, 6)
    for source in (
        open_source(tmp_path / "000.png", read_threads=4),
        open_source(tmp_path, read_threads=1),
        open_source(tmp_path, read_threads=4, read_ahead=False),
    ):
        assert source.read() is not None
        assert not reader_threads()
        source.close()
    source = open_source(tmp_path, read_threads=4)
    assert not reader_threads()
    source.read()
    assert 1 <= len(reader_threads()) <= 4
    source.close()
    assert not reader_threads()


class Recording(ImageFiles):
    """Notes what is read."""

    def __init__(self, paths: list[Path], read_threads: int) -> None:
        super().__init__(paths, "test", read_threads=read_threads)
        self.was_read: list[int] = []

    def _read_file(self, index: int) -> Image | Reduced:
        self.was_read.append(index)
        return super()._read_file(index)


def test_reading_ahead_is_bounded_and_follows_the_stride(tmp_path: Path) -> None:
    paths = write_folder(tmp_path, 60)
    source = Recording(paths, 2)
    frame = source.read()
    assert frame is not None and frame.index == 0
    source.close()
    assert set(source.was_read) <= {0, 1, 2}

    strided = Recording(paths, 2)
    assert values_of(Selection(strided, kb.config.SelectConfig(stride=7))) == [(n, n) for n in range(0, 60, 7)]
    strided.close()
    assert set(strided.was_read) - {1, 2} == set(range(0, 60, 7))
    looped = Selection(Recording(paths[:5], 3), kb.config.SelectConfig(loop=True, limit=12))
    assert values_of(looped) == [(n, n % 5) for n in range(12)]
    looped.close()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an Exif segment that says how it is turned (Exif 2.3: tag 0x0112, a short)."""
    entry = (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
    entry += orientation.to_bytes(2, "big") + b"\0\0"
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + (0).to_bytes(4, "big")
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def write_jpeg(path: Path, picture: NDArray[np.uint8], orientation: int = 1) -> Path:
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    path.write_bytes(with_orientation(jpeg, orientation))
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size_wh", [(1200, 800), (803, 1201), (640, 640)])
def test_a_reduced_jpeg_is_the_whole_one_seen_smaller(
    tmp_path: Path, orientation: int, size_wh: tuple[int, int]
) -> None:
    path = write_jpeg(tmp_path / "big.jpg", smooth(size_wh), orientation)
    whole = cv2.imread(str(path))
    assert whole is not None
    source = ImageFiles([path], "test")
    source.allow_reduced(150)
    frame = source.read()
    assert frame is not None and isinstance(frame.picture, Reduced)
    assert (frame.height, frame.width) == whole.shape[:2]
    assert source.frame_sizes() == {(frame.height, frame.width): 1}
    assert 150 <= max(frame.picture.pixels.shape) < 340
    ours, theirs = np.zeros((2, 96, 96, 3), np.uint8)
    assert Letterboxer(ours).write(frame.picture) == Letterboxer(theirs).write(np.asarray(whole, np.uint8))
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.mean() < 2 and difference.max() < 24
    np.testing.assert_array_equal(frame.image, whole)


def test_only_big_jpegs_are_reduced_and_never_below_what_was_asked_for(tmp_path: Path) -> None:
    paths = [
        write_jpeg(tmp_path / "just_too_small.jpg", smooth((399, 300))),
        write_jpeg(tmp_path / "half.jpg", smooth((400, 300))),
        write_jpeg(tmp_path / "eighth.jpg", smooth((1600, 300))),
        write_picture(tmp_path / "other.png", smooth((1600, 300))),
        write_jpeg(tmp_path / "which_way_up.jpg", smooth((999, 1000))),
    ]
    source = ImageFiles(paths, "test")
    source.allow_reduced(200)
    frames = [source.read() for _ in paths]
    source.close()
    assert [
        max(frame.picture.pixels.shape) if isinstance(frame.picture, Reduced) else None for frame in frames if frame
    ] == [None, 200, 200, None, None]
    assert [(frame.width, frame.height) for frame in frames if frame] == [
        *((399, 300), (400, 300), (1600, 300), (1600, 300), (999, 1000)),
    ]


def test_a_reduced_picture_too_small_for_the_input_is_read_whole(tmp_path: Path) -> None:
    source = ImageFiles([write_jpeg(tmp_path / "big.jpg", smooth((800, 600)))], "test")
    source.allow_reduced(100)
    frame = source.read()
    assert frame is not None and isinstance(frame.picture, Reduced) and frame.image is not None
    ours, theirs = np.zeros((2, 320, 320, 3), np.uint8)
    Letterboxer(ours).write(frame.picture)
    Letterboxer(theirs).write(frame.image)
    np.testing.assert_array_equal(ours, theirs)


def test_boxes_of_reduced_pictures_are_in_pixels_of_the_whole(tmp_path: Path, blob_model: Path) -> None:
    picture = np.zeros((1024, 1536, 3), np.uint8)
    picture[256:768, 512:1024] = (0, 0, 255)
    path = write_jpeg(tmp_path / "big.jpg", picture)
    reduced = ImageFiles([path, path], "reduced")
    reduced.allow_reduced(96)
    with kb.Pipeline(blob_model) as pipeline:
        (plain,) = pipeline.run(path)
        results = list(pipeline.run(reduced))
    assert len(plain.detections) > 0 and plain.detections.boxes_xyxy.max() > 700
    for result in results:
        assert isinstance(result.frame.picture, Reduced) and result.frame.picture.pixels.shape == (128, 192, 3)
        np.testing.assert_array_equal(result.detections.class_id, plain.detections.class_id)
        np.testing.assert_allclose(result.detections.boxes_xyxy, plain.detections.boxes_xyxy, atol=16)


@pytest.mark.parametrize("options", [[], ["--reduce-jpegs"]])
def test_what_is_found_in_a_large_jpeg_does_not_depend_on_what_is_written(
    tmp_path: Path, blob_model: Path, options: list[str]
) -> None:
    picture = np.random.default_rng(1).integers(0, 40, (1024, 1536, 3)).astype(np.uint8)
    picture[250:771, 513:1029] = (0, 0, 255)
    path = write_jpeg(tmp_path / "big.jpg", picture)
    found = []
    for number, outputs in enumerate([[], ["--save", str(tmp_path / "out")], ["--save-crop", str(tmp_path / "crops")]]):
        lines = tmp_path / f"{number}.jsonl"
        command = ["detect", str(path), "-m", str(blob_model), "-q", "--json", str(lines), *options, *outputs]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        found.append(lines.read_text())
    assert found[0] == found[1] == found[2]
    with kb.Pipeline(blob_model, reduce_jpegs=bool(options)) as pipeline:
        (result,) = pipeline.run(path)
    assert isinstance(result.frame.picture, Reduced) == bool(options)


def test_a_reduced_picture_whose_file_has_gone_says_so(tmp_path: Path) -> None:
    path = write_jpeg(tmp_path / "big.jpg", smooth((800, 600)))
    source = ImageFiles([path], "test")
    source.allow_reduced(100)
    frame = source.read()
    assert frame is not None
    path.unlink()
    with pytest.raises(kb.FrameError, match="cannot read the file"):
        _ = frame.image


def test_sizes_of_a_folder_come_from_some_of_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_picture(tmp_path / f"{n}.png", square_picture(size_wh=(96, 64))) for n in range(5)]
    paths.append(write_jpeg(tmp_path / "turned.jpg", smooth((120, 80)), orientation=6))
    paths.append(tmp_path / "damaged.jpg")
    paths[-1].write_bytes(b"\xff\xd8\xff\xe0 no more")
    assert ImageFiles(paths, "test").frame_sizes() == {(64, 96): 5, (120, 80): 1}
    assert ImageFiles([tmp_path / "gone.png"], "test").frame_sizes() == {}
    monkeypatch.setattr("keepbusy.sources.images.MAX_SIZES", 3)
    assert sum(ImageFiles(paths[:6], "test").frame_sizes().values()) == 3


@pytest.mark.parametrize(
    ("num_cores", "size_wh", "expected"),
    [
        (2, (768, 432), 1),
        (2, (1920, 1080), 1),
        (2, (3840, 2160), 4),
        (4, (768, 432), 1),
        (16, (768, 432), 4),
        (16, (1920, 1080), 8),
        (16, (3840, 2160), 16),
        (64, (768, 432), 16),
    ],
)
def test_decoders_get_threads_by_cores_and_pixels(
    num_cores: int, size_wh: tuple[int, int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "usable_cores", lambda: num_cores)
    assert container.num_threads(*size_wh) == expected


def test_the_number_of_threads_reaches_the_decoder(clip: Path) -> None:
    source = open_source(clip, read_threads=3)
    assert source._stream.thread_count == 3  # type: ignore[attr-defined]
    assert len(values_of(source)) == 40
    source.close()
