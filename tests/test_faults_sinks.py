"""Outputs of names in any script and bytes, of several clips, of odd pixels and colours."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from keepbusy.api import Pipeline
from keepbusy.cli.app import app
from keepbusy.config import SelectConfig
from keepbusy.drawing import scripts
from keepbusy.drawing.write import write_image
from keepbusy.errors import ConfigError, FrameError, SinkError
from keepbusy.evaluate.verify import WorstFrame
from keepbusy.evaluate.verify_pictures import draw_worst
from keepbusy.sinks import drain
from keepbusy.sinks.crops import Crops
from keepbusy.sinks.draw import Style, annotate
from keepbusy.sinks.images import AnnotatedFolder
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames, glob_root, is_glob
from keepbusy.sinks.open import open_sinks
from keepbusy.sinks.spec import Outputs
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.sources import Selection, Source, SourceInfo, open_sources
from keepbusy.sources.chain import Chain
from keepbusy.texts import valid_text
from keepbusy.values.compare import agree
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.build import square_picture, write_picture
from tests.test_sinks import disk_with


def result(
    source: str = "a.mp4",
    index: int = 0,
    timestamp_s: float = 0.0,
    *,
    size_wh: tuple[int, int] = (96, 64),
    names: tuple[str, ...] = ("thing",),
    picture: np.ndarray | None = None,
) -> Result:
    """One detection of the first class in a grey picture."""
    if picture is None:
        picture = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    found = Detections(np.array([[16, 20, 48, 48]], np.float32), np.array([0.875], np.float32), np.array([0]), names)
    return Result(Frame(picture, index, timestamp_s, 0, source), found, Timings(postprocess_end_ns=(index + 1) * 10**7))


@pytest.mark.parametrize("encoding", ["cp1252", "cp936", "ascii", "utf-16"])
def test_json_on_standard_output_is_utf8_whatever_the_locale(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding))
    JsonLines("-").write(result("фото.jpg", names=("行人",)))
    record = json.loads(content.getvalue().decode("utf-8"))
    assert record["source"] == "фото.jpg" and record["detections"][0]["name"] == "行人"


def test_json_goes_to_a_stream_of_text_in_the_place_of_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.StringIO()
    monkeypatch.setattr(sys, "stdout", content)
    JsonLines("-").write(result("фото.jpg"))
    assert json.loads(content.getvalue())["source"] == "фото.jpg"


@pytest.mark.parametrize("target", ["-", "terminal"])
def test_nothing_in_json_controls_a_terminal(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            sink = JsonLines("-" if target == "-" else os.ttyname(terminal.fileno()))
            name = "a\x7fb\x9bc\u202ed\u200fe"
            sink.write(result("行.jpg", names=(name,)))
            sink.close()
            shown = os.read(ours, 1 << 16)
    finally:
        os.close(ours)
    assert all(32 <= byte < 127 or byte in b"\r\n" for byte in shown)
    record = json.loads(shown)
    assert record["source"] == "行.jpg" and record["detections"][0]["name"] == name


def test_bytes_that_are_not_utf8_are_escaped_into_valid_json(tmp_path: Path) -> None:
    source = os.fsdecode(b"bad\xff\xe9 \xc3\xa9.jpg")
    sink = JsonLines(tmp_path / "o.jsonl")
    sink.write(result(source, names=("lone \ud83d",)))
    sink.close()
    content = (tmp_path / "o.jsonl").read_bytes().decode("utf-8")
    record = json.loads(content)
    assert record["source"] == r"bad\xff\xe9 é.jpg" and record["detections"][0]["name"] == r"lone \ud83d"
    # Strict readers refuse escapes of halves of characters.
    assert r"bad\\xff" in content
    assert valid_text("plain é 行") == "plain é 行"


def test_names_that_are_not_utf8_give_output_names_that_stay_apart() -> None:
    names = OutputNames()
    stems = [names.stem(os.fsdecode(source)) for source in (b"d/bad\xff.jpg", b"d/bad\xfe.jpg")]
    assert stems == [r"bad\xff", r"bad\xfe"]


def test_a_record_that_does_not_fit_is_cut_off_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "o.jsonl"
    sink = JsonLines(path)
    sink.write(result())
    sink.close()
    room = [10]
    write = io.FileIO.write

    class Full(io.FileIO):
        def write(self, content: object) -> int:
            if not room[0]:
                raise OSError(28, "No space left on device")
            num, room[0] = room[0], 0
            return write(self, bytes(content)[:num])  # type: ignore[call-overload]

    full = Full(path, "r+")
    full.seek(0, os.SEEK_END)
    monkeypatch.setattr(sink, "_file", full)
    with pytest.raises(SinkError, match="No space left"):
        sink.write(result(index=1))
    sink.close()
    assert [json.loads(line)["index"] for line in path.read_text("utf-8").splitlines()] == [0]


def times_and_duration(path: Path) -> tuple[list[float], float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        duration_s = float(stream.duration * stream.time_base)
        return [float(frame.time or 0) for frame in container.decode(stream)], duration_s


class Clip(Source):
    """A source of grey frames at ten a second."""

    def __init__(self, name: str, num_frames: int) -> None:
        self.info = SourceInfo(name, num_frames=num_frames, fps=10.0)
        self._index = 0

    def read(self) -> Frame | None:
        self._index += 1
        return result(self.info.name, self._index - 1, (self._index - 1) / 10).frame if self._is_left() else None

    def _is_left(self) -> bool:
        return self._index <= (self.info.num_frames or 0)

    def skip(self) -> bool:
        self._index += 1
        return self._is_left()

    def rewind(self) -> None:
        self._index = 0


def save(frames: list[tuple[str, int, float]], path: Path, fps: float | None) -> tuple[list[float], float]:
    sink = VideoFile(path, fps)
    for source, index, time_s in frames:
        sink.write(result(source, index, time_s))
    sink.close()
    return times_and_duration(path)


def test_clips_follow_one_another_in_one_video(tmp_path: Path) -> None:
    clips = [
        (name, index, index / 10) for name, num in (("a.mp4", 5), ("b.mp4", 9), ("c.mp4", 3)) for index in range(num)
    ]
    times, duration_s = save(clips, tmp_path / "o.mp4", None)
    assert np.diff(times) == pytest.approx(np.full(16, 0.1), abs=1e-4) and duration_s == pytest.approx(1.7, abs=1e-3)


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv"])
def test_a_time_that_falls_back_within_a_source_goes_on_instead(tmp_path: Path, name: str) -> None:
    frames = [("a.ts", index, (index % 30) / 25) for index in range(60)]
    sink = VideoFile(tmp_path / name, 25)
    for source, index, time_s in frames:
        sink.write(result(source, index, time_s))
    sink.close()
    with av.open(str(tmp_path / name)) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert np.diff(times) == pytest.approx(np.full(59, 0.04), abs=2e-3)


def test_the_same_clip_twice_and_clips_of_one_frame_do_not_squeeze(tmp_path: Path) -> None:
    frames = [("a.mp4", 0, 0.0), ("a.mp4", 0, 0.0), ("b.gif", 0, 0.0), ("p.jpg", 0, 0.0), ("q.jpg", 0, 0.0)]
    times, duration_s = save(frames, tmp_path / "o.mp4", None)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-4) and duration_s == pytest.approx(0.2, abs=1e-3)


def test_pictures_of_a_folder_keep_the_gaps_of_a_stride(tmp_path: Path) -> None:
    times, duration_s = save([(f"{n}.jpg", n, float(n)) for n in (0, 3, 6)], tmp_path / "o.mp4", None)
    assert times == pytest.approx([0, 0.12, 0.24], abs=1e-4) and duration_s == pytest.approx(0.36, abs=1e-3)


def test_a_looped_folder_of_clips_goes_on(tmp_path: Path) -> None:
    parts = [("a.mp4", lambda: Clip("a.mp4", 6)), ("b.mp4", lambda: Clip("b.mp4", 3))]
    selection = Selection(Chain(parts, "clips"), SelectConfig(loop=True, limit=20))
    sink = VideoFile(tmp_path / "o.mp4", selection.info.fps)
    while (frame := selection.read()) is not None:
        sink.write(Result(frame, Detections.empty(), Timings(postprocess_end_ns=1)))
    selection.close()
    sink.close()
    times, _ = times_and_duration(tmp_path / "o.mp4")
    assert len(times) == 20 and np.diff(times) == pytest.approx(np.full(19, 0.1), abs=1e-3)


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9), Fraction(1)])
@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
def test_pixels_keep_their_shape(tmp_path: Path, aspect: Fraction, name: str) -> None:
    source = tmp_path / "12:30 source.mp4"
    with av.open(f"file:{source}", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 58, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        picture = np.zeros((58, 72, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    for size_wh, wanted in (((72, 58), aspect), ((58, 72), 1 / aspect)):
        sink = VideoFile(tmp_path / name, 25)
        sink.write(result(str(source), size_wh=size_wh))
        sink.close()
        with av.open(str(tmp_path / name)) as written:
            assert (written.streams.video[0].sample_aspect_ratio or 1) == wanted


@pytest.mark.parametrize(("size_wh", "colours"), [((1280, 720), 1), ((854, 480), 6), ((640, 800), 1)])
def test_colours_are_written_with_the_matrix_that_the_video_is_tagged_with(
    tmp_path: Path, size_wh: tuple[int, int], colours: int
) -> None:
    width, height = size_wh
    picture = np.zeros((height, width, 3), np.uint8)
    third = width // 3
    wanted = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
    for place, colour in enumerate(wanted):
        picture[:, place * third : (place + 1) * third] = colour
    sink = VideoFile(tmp_path / "o.mp4", 25)
    sink.write(Result(Frame(picture, 0, 0.0, 0, "a.mp4"), Detections.empty(), Timings(postprocess_end_ns=1)))
    sink.close()
    red, blue = (0.2126, 0.0722) if colours == 1 else (0.299, 0.114)
    with av.open(str(tmp_path / "o.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert [codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range] == [colours] * 3 + [1]
        decoded = next(container.decode(video=0)).to_ndarray(format="yuv420p")
    luma = decoded[height // 2].astype(float)
    chroma = decoded[height:].reshape(2, height // 2, width // 2)[:, height // 4].astype(float)
    for place, colour in enumerate(wanted):
        x = place * third + third // 2
        light = (luma[x] - 16) / 219
        u, v = (chroma[:, x // 2] - 128) / 224
        r, b = light + 2 * (1 - red) * v, light + 2 * (1 - blue) * u
        g = (light - red * r - blue * b) / (1 - red - blue)
        assert np.array([b, g, r]) * 255 == pytest.approx(np.array(colour), abs=8)


def is_same_drawing(name: str, other: str) -> bool:
    first, second = (annotate(result(size_wh=(400, 300), names=(one,))) for one in (name, other))
    return np.array_equal(first, second)


@pytest.fixture
def _fresh_names() -> None:
    for cached in (scripts._warn, scripts._has_letter, scripts.as_drawn):
        cached.cache_clear()


@pytest.mark.usefixtures("_fresh_names")
@pytest.mark.parametrize(
    "name", ["ไทย", "हिन्दी", "😀", "سلام", "שלום 2", "(שלום)", "mixed ไทย", "a\x00b", "\udcff"], ids=ascii
)
def test_names_that_cannot_be_drawn_are_ids(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert is_same_drawing(name, "class 0")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1 and name in warnings[0] and "cannot draw" in warnings[0]


@pytest.mark.usefixtures("_fresh_names")
@pytest.mark.parametrize("name", ["行人", "Привет", "Ελλάδα", "émile", "한국", "what?"])
def test_names_that_this_opencv_can_draw_are_drawn(name: str, caplog: pytest.LogCaptureFixture) -> None:
    can_draw = hasattr(cv2, "FontFace") or name.isascii()
    assert is_same_drawing(name, "class 0") != can_draw
    assert bool(caplog.records) != can_draw


@pytest.mark.usefixtures("_fresh_names")
def test_an_opencv_without_fonts_draws_ascii_and_ids(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    assert is_same_drawing("行人", "class 0") and not is_same_drawing("person", "class 0")
    assert len(caplog.records) == 1 and "OpenCV 5" in caplog.text


@pytest.mark.usefixtures("_fresh_names")
@pytest.mark.parametrize("name", ["שלום", "כלב גדול", "ג׳ירפה", "אב־גד"])
def test_hebrew_runs_from_right_to_left(name: str, caplog: pytest.LogCaptureFixture) -> None:
    if not hasattr(cv2, "FontFace"):
        pytest.skip("this OpenCV has no Hebrew letters")
    drawn, last, first = (scripts._draw(text) for text in (scripts.drawn_name(0, (name,)), name[-1], name[0]))
    end = np.flatnonzero(last.any(axis=0))[-1] - 2
    assert np.array_equal(drawn[:, :end], last[:, :end])
    assert not np.array_equal(drawn[:, :end], first[:, :end])
    assert not caplog.records


@pytest.mark.usefixtures("_fresh_names")
@pytest.mark.parametrize("has_boxes", [True, False])
def test_pictures_of_a_comparison_have_the_same_names(has_boxes: bool, caplog: pytest.LogCaptureFixture) -> None:
    one = result(size_wh=(400, 300))
    drawn = []
    for name in ("ไทย", "class 0", "class 1"):
        found = dataclasses.replace(one.detections, names=(name,))
        if not has_boxes:
            found = dataclasses.replace(Detections.empty(), names=(name,), probabilities=np.ones(1, np.float32))
        agreement = agree(found, Detections.empty(), conf=0.25)
        drawn.append(draw_worst(WorstFrame(one.frame, found, Detections.empty(), agreement, 0.25), ("a", "b")))
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[1], drawn[2])
    assert "cannot draw" in caplog.text


def test_an_accent_of_its_own_is_put_on_its_letter() -> None:
    assert is_same_drawing("e\u0301mile", "\u00e9mile")


def test_labels_confidences_and_lines_are_drawn_as_asked() -> None:
    one = result(size_wh=(400, 300))
    assert one.frame.image is not None
    changed = {
        name: (annotate(one, style=style) != one.frame.image).any(axis=2)
        for name, style in {
            "all": Style(),
            "no confidence": Style(has_confidence=False),
            "no label": Style(has_labels=False),
            "wide": Style(has_labels=False, line_width_px=9),
        }.items()
    }
    fast = [annotate(one, 50.0, style) for style in (Style(), Style(has_throughput=False))]
    assert (fast[0] != fast[1]).any() and np.array_equal(fast[1], annotate(one))
    assert changed["all"].sum() > changed["no confidence"].sum() > changed["no label"].sum()
    assert changed["no label"][20, 20:40].all() and not changed["no label"][5:15].any()
    assert changed["wide"].sum() > 3 * changed["no label"].sum()


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_sub_folders_of_globs_are_kept(tmp_path: Path) -> None:
    names = OutputNames([Path("sub"), Path("sub/deep")])
    stems = [names.stem(f"sub/{rest}") for rest in ("a/x.jpg", "b/x.jpg", "b/x.png", "y.jpg", "deep/c d/z.mp4")]
    assert stems == ["a/x", "b/x", "b/x-2", "y", "c d/z"]
    assert [names.stem(source) for source in ("other/a/x.jpg", "rtsp://sub/a", "0")] == ["x", "rtsp_sub_a", "camera0"]
    folder = AnnotatedFolder(tmp_path / "out", names, {})
    labels, crops = YoloTxt(tmp_path / "labels", names), Crops(tmp_path / "crops", names)
    for source in ("sub/a/x.jpg", "sub/b/x.jpg", "sub/deep/c d/z.mp4"):
        for sink in (folder, labels, crops):
            sink.write(result(source))
    folder.close()
    assert files_below(tmp_path / "out") == ["a/x.jpg", "b/x.jpg", "c d/z.mp4"]
    assert files_below(tmp_path / "labels") == ["a/x.txt", "b/x.txt", "c d/z_000000.txt"]
    assert files_below(tmp_path / "crops") == [f"thing/{name}_0.jpg" for name in ("a/x", "b/x", "c d/z_000000")]


@pytest.mark.parametrize(
    "sources", [["in/a/x.png", "in/b/x.png"], ["in/list.txt"], ["list.txt"], ["in/a", "in/b"], ["in/a/x.png", "in/b"]]
)
def test_sub_folders_of_lists_and_of_files_are_kept(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob_model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        write_image(tmp_path / "in" / folder / "x.png", square_picture())
    Path("in/list.txt").write_text("a/x.png\nb/x.png\n")
    Path("list.txt").write_text(f"in/a/x.png\n{tmp_path / 'in/b/x.png'}\n")
    command = ["detect", *sources, "-m", str(blob_model), "-q"]
    outputs = ["--save", "out", "--save-txt", "labels", "--save-crop", "crops"]
    for _ in range(2):
        done = CliRunner().invoke(app, [*command, *outputs])
        assert done.exit_code == 0, done.exception
    assert files_below(Path("out")) == ["a/x.png", "b/x.png"]
    assert files_below(Path("labels")) == [".keepbusy", "a/x.txt", "b/x.txt"]
    assert {name.rsplit("/", 2)[1] for name in files_below(Path("crops"))} == {"a", "b"}
    # Where they would go is where they came from.
    before = Path("in/a/x.png").read_bytes()
    done = CliRunner().invoke(app, [*command, "--save", "in"])
    assert isinstance(done.exception, ConfigError) and Path("in/a/x.png").read_bytes() == before


def test_files_of_one_folder_have_no_sub_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob_model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("x", "y"):
        write_image(Path("in", f"{name}.png"), square_picture())
    command = ["detect", "in/x.png", "in/y.png", "-m", str(blob_model), "-q", "--save", "."]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.exception
    assert files_below(tmp_path) == ["in/x.png", "in/y.png", "x.png", "y.png"]


@pytest.mark.parametrize(
    ("pattern", "root"),
    [("root/**/*.jpg", "root"), ("*.jpg", "."), ("/a/b*/c/x.jpg", "/a"), ("../r/[ab]/x.jpg", "../r"), ("r/*.jpg", "r")],
)
def test_what_a_glob_matches_is_below_its_fixed_part(pattern: str, root: str) -> None:
    assert is_glob(pattern) and glob_root(pattern) == Path(root)
    assert not is_glob("synth:street?frames=3") and not is_glob("http://host/x?y=1") and not is_glob("plain.jpg")


def test_crops_are_the_frames_own_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    one = result(picture=cv2.GaussianBlur(picture, (0, 0), 5), names=("stop / sign",))
    sink = Crops(tmp_path, OutputNames())
    sink.write(one)
    sink.close()
    crop = cv2.imread(str(tmp_path / "stop_sign" / "a_000000_0.jpg"))
    assert crop is not None and one.frame.image is not None
    np.testing.assert_allclose(crop.astype(int), one.frame.image[20:48, 16:48].astype(int), atol=12)


def test_a_clip_that_comes_again_does_not_replace_its_first_round(tmp_path: Path) -> None:
    sink = AnnotatedFolder(tmp_path, OutputNames(), {0: None})
    for source in ("a.mp4", "b.mp4", "a.mp4"):
        for index in range(3):
            sink.write(result(source, index, index / 10))
    sink.close()
    assert files_below(tmp_path) == ["a.mp4", "a_round2.mp4", "b.mp4"]
    assert all(len(times_and_duration(path)[0]) == 3 for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["12:30 out.mp4", "OUT.MP4", "a:b.MKV", "bad\udcff.mov", "12:30 out.JPG", "P.PNG"], ids=ascii
)
def test_any_file_name_can_be_saved_to_in_the_current_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Clip("a.mp4", 1)
    (sink,) = open_sinks(Outputs(save=Path(name)).specs(), [source])
    sink.write(result())
    sink.close()
    assert os.listdir(".") == [name] and Path(name).stat().st_size > 300


@pytest.mark.parametrize("name", ["out.heic", "out.TGA", "out.hif", "out.pgm", "out.PBM"])
def test_a_picture_of_a_kind_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_text("{}\n")
    outputs = Outputs(save=tmp_path / name, json=str(earlier), save_txt=tmp_path / "labels")
    with pytest.raises(ConfigError, match=f"^--save: .*{name[3:].lower()} pictures can be read, but not written"):
        open_sinks(outputs.specs(), [Clip("a.mp4", 1)])
    # What was there is kept, and nothing was made.
    assert files_below(tmp_path) == ["earlier.jsonl"] and earlier.read_text() == "{}\n"
    assert os.listdir(tmp_path) == ["earlier.jsonl"]
    # A folder may have such a name.
    (tmp_path / name).mkdir()
    (sink,) = open_sinks(Outputs(save=tmp_path / name).specs(), [Clip("a.mp4", 1)])
    assert isinstance(sink, AnnotatedFolder)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a.mp4", "a_000001.jpg"], ["a_000000", "a_000001", "a_000001-2"]),
        (["a_000001.jpg", "a.mp4"], ["a_000001", "a-2_000000", "a-2_000001"]),
        (["A.mp4", "a_000001.jpg"], ["A_000000", "A_000001", "a_000001-2"]),
        (["a_1000000.jpg", "a.mp4", "a-2_000001.jpg"], ["a_1000000", "a-2_000000", "a-2_000001", "a-2_000001-2"]),
        # These are none of a frame's.
        (["a.mp4", "a_1.jpg", "a_000001.avi"], ["a_000000", "a_000001", "a_1", "a_000001_000000", "a_000001_000001"]),
    ],
)
def test_a_picture_never_has_the_name_of_a_videos_frame(
    sources: list[str], expected: list[str], tmp_path: Path
) -> None:
    names = OutputNames()
    labels, crops = YoloTxt(tmp_path / "labels", names), Crops(tmp_path / "crops", names)
    for source in sources:
        for index in range(1 if source.endswith("jpg") else 2):
            for sink in (labels, crops):
                sink.write(result(source, index))
    assert files_below(tmp_path / "labels") == sorted(f"{stem}.txt" for stem in expected)
    assert files_below(tmp_path / "crops") == sorted(f"thing/{stem}_0.jpg" for stem in expected)


@given(
    st.lists(
        st.builds(
            "{}{}{}".format,
            st.sampled_from("aA"),
            st.from_regex(r"(_00000[12]|-2|_2|_round2){0,3}", fullmatch=True),
            st.sampled_from([".mp4", ".jpg"]),
        ),
        unique=True,
        max_size=12,
    )
)
def test_no_two_outputs_have_the_same_name(sources: list[str]) -> None:
    names = OutputNames()
    frames, videos = [], []
    for source in sources:
        indexes = range(3) if source.endswith("mp4") else range(1)
        for index in indexes:
            frames.append(names.frame_stem(result(source, index).frame).lower())
        if len(indexes) > 1:
            stem = names.stem(source)
            videos += [stem.lower(), f"{stem}_round2".lower()]
    assert len(set(frames)) == len(frames) and len(set(videos)) == len(videos)


@pytest.mark.parametrize("sources", [["a.mp4", "a_round2.mp4"], ["a_round2.mp4", "a.mp4"]])
def test_a_clip_that_comes_again_never_has_the_name_of_another_one(sources: list[str], tmp_path: Path) -> None:
    sink = AnnotatedFolder(tmp_path, OutputNames(), {0: 10.0})
    for source in (*sources, *sources):
        sink.write(result(source))
    sink.close()
    assert len(files_below(tmp_path)) == 4


def test_pictures_that_can_only_be_read_are_saved_as_jpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "haveImageWriter", lambda name: not name.endswith(".bmp"))
    sink = AnnotatedFolder(tmp_path, OutputNames(), {})
    for source in ("a.BMP", "b.PNG"):
        sink.write(result(source))
    assert files_below(tmp_path) == ["a.jpg", "b.PNG"]


def test_a_link_among_labels_and_pictures_is_replaced_and_not_followed(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", square_picture())
    kept = tmp_path / "kept"
    kept.write_text("mine")
    for option, name in (("--save-txt", "a.txt"), ("--save", "a.png")):
        folder = tmp_path / option
        words = [str(picture), option, folder]
        CliRunner().invoke(app, ["detect", *map(str, words), "-q"], catch_exceptions=False)
        (folder / name).unlink()
        (folder / name).symlink_to(kept)
        CliRunner().invoke(app, ["detect", *map(str, words), "-q"], catch_exceptions=False)
        assert kept.read_text() == "mine" and not (folder / name).is_symlink()


def test_a_label_file_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    with disk_with(8), pytest.raises(SinkError, match="cannot be written"):
        YoloTxt(tmp_path, OutputNames()).write(result())
    assert files_below(tmp_path) == []


def test_the_program_takes_the_options(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        write_image(tmp_path / "in" / folder / "фото.png", np.full((64, 96, 3), 90, np.uint8))
    command = [sys.executable, "-m", "keepbusy", "detect", "in/**/*.png", "--json", "-", "-q", "--save", "out"]
    command += ["--hide-labels", "--hide-conf", "--line-width", "3", "--save-crop", "crops", "--save-txt", "labels"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    sources = [json.loads(line)["source"] for line in done.stdout.decode("utf-8").splitlines()]
    assert sources == ["in/a/фото.png", "in/b/фото.png"]
    assert files_below(tmp_path / "out") == ["a/фото.png", "b/фото.png"]
    (tmp_path / "labels" / ".keepbusy").unlink()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 1 and b"--exist-ok" in done.stderr and b"Traceback" not in done.stderr


def write_with_sound(path: Path, codec: str = "aac", num_frames: int = 50) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream(codec, rate=48000)
        assert isinstance(audio, av.AudioStream)
        for index in range(num_frames):
            picture = np.full((64, 96, 3), 4 * index % 250, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            tone = np.sin(np.arange(1920) / 20 + index * 96).astype(np.float32)[None]
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, index * 1920, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path


def saved_with_sound(source: Path, path: Path, num_frames: int) -> tuple[int, float]:
    """How many frames the saved video has, and how long its sound is, seconds; 0 without one."""
    sink = VideoFile(path, 25, sound_of=source)
    for index in range(num_frames):
        sink.write(result(str(source), index, index / 25))
    sink.close()
    with av.open(str(path)) as container:
        num_decoded = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        sounds = list(container.decode(audio=0)) if container.streams.audio else []
        return num_decoded, sum(sound.samples / sound.sample_rate for sound in sounds)


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv"])
@pytest.mark.parametrize("num_frames", [50, 20])
def test_the_sound_of_a_video_is_copied_for_as_long_as_the_pictures(name: str, num_frames: int, tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4")
    num_decoded, sound_s = saved_with_sound(source, tmp_path / name, num_frames)
    assert num_decoded == num_frames and sound_s == pytest.approx(num_frames / 25, abs=0.08)


def test_a_video_without_sound_and_sound_that_does_not_fit_leave_the_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    silent = tmp_path / "silent.mp4"
    save([("a.mp4", 0, 0.0)], silent, 25)
    assert saved_with_sound(silent, tmp_path / "o.mp4", 30) == (30, 0)
    assert saved_with_sound(tmp_path / "gone.mp4", tmp_path / "o.mp4", 30) == (30, 0)
    assert "its sound cannot be copied" in caplog.text
    for codec, kind, name in (("flac", "mkv", "o.m4v"), ("libopus", "mkv", "o.mov"), ("pcm_s16le", "avi", "o.mp4")):
        source = write_with_sound(tmp_path / f"in.{kind}", codec)
        assert saved_with_sound(source, tmp_path / name, 30)[0] == 30


@pytest.mark.parametrize("name", ["a%b c", "12:30 clip", "фото", "x (1)", "_under_", "a.b"])
def test_labels_and_copies_keep_the_names_of_their_pictures(tmp_path: Path, name: str) -> None:
    names = OutputNames()
    assert names.stem(str(tmp_path / f"{name}.jpg")) == name
    assert names.stem(str(tmp_path / "other" / f"{name}.jpg")) == f"{name}-2"


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, blob_model: Path) -> None:
    write_picture(tmp_path / "in.png", np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    (tmp_path / "link.png").symlink_to(tmp_path / "out.png")
    for before in (None, b"an earlier picture"):
        if before is not None:
            (tmp_path / "out.png").write_bytes(before)
        command = f"ulimit -f 4; exec {sys.executable} -m keepbusy detect in.png -m {blob_model} --save link.png"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 1 and "cannot be written" in done.stderr, done.stderr
        out = tmp_path / "out.png"
        assert (out.read_bytes() if out.exists() else None) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "link.png", "out.png"]


def test_a_source_given_twice_has_outputs_of_its_own_each_time(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    picture, clip = tmp_path / "a.png", Path(shutil.copy(clip, tmp_path))
    cv2.imwrite(str(picture), np.full((64, 96, 3), 90, np.uint8))
    specs = [str(clip), str(picture), str(clip), str(picture)]
    opened = [source for spec in specs for source in open_sources([spec])]
    out = tmp_path / "out"
    outputs = Outputs(save=out, save_txt=out / "labels")
    with Pipeline(blob_model) as pipeline:
        sinks = open_sinks(outputs.specs(), opened, named=specs)
        drain(pipeline.run(*opened), sinks, lambda result: None)
    written = sorted(path.name for path in out.iterdir() if path.is_file())
    assert written == ["a-2.png", "a.png", "clip-2.mp4", "clip.mp4"]
    for name in ("clip.mp4", "clip-2.mp4"):
        with av.open(str(out / name)) as video:
            assert sum(1 for _ in video.decode(video=0)) == 40
    assert sum(1 for _ in (out / "labels").glob("clip*.txt")) == 80


def test_names_are_given_in_the_order_of_the_results_however_far_the_sinks_are_apart(tmp_path: Path) -> None:
    unread = FrameError("scripted", stage="read", source="x.png", frame_index=0)
    picture = np.zeros((8, 8, 3), np.uint8)
    results = [
        Result(Frame(None, 0, 0.0, 0, "x.png"), Detections.empty(), Timings(), unread),
        Result(Frame(picture, 0, 0.0, 1, "x.png"), Detections.empty(), Timings()),
    ]
    names = OutputNames()
    pictures, labels = AnnotatedFolder(tmp_path / "out", names, {}), YoloTxt(tmp_path / "labels", names)
    for sink in (pictures, labels):
        for one in results:
            sink.write(one)
        sink.close()
    assert files_below(tmp_path / "out") == ["x-2.png"]
    assert files_below(tmp_path / "labels") == ["x-2.txt"]


def test_names_are_asked_for_by_several_threads_at_once() -> None:
    for _ in range(50):
        names, start = OutputNames(), threading.Barrier(4)

        def ask(names: OutputNames = names, start: threading.Barrier = start) -> list[str]:
            start.wait()
            return [names.stem(f"{number % 7}/a.jpg", number) for number in range(40)]

        with ThreadPoolExecutor(4) as executor:
            answers = [future.result() for future in [executor.submit(ask) for _ in range(4)]]
        assert all(answer == answers[0] for answer in answers)
        assert len(set(answers[0])) == 40


@pytest.mark.parametrize(("name", "copy"), [("a.pgm", "a.jpg"), ("a.PBM", "a.jpg"), ("a.ppm", "a.ppm")])
def test_a_grey_picture_has_a_copy_with_colours(name: str, copy: str, tmp_path: Path) -> None:
    write_picture(tmp_path / name.lower(), square_picture()[:, :, 0] if copy == "a.jpg" else square_picture())
    (tmp_path / name.lower()).rename(tmp_path / name)
    (source,) = open_sources([tmp_path / name])
    frame = source.read()
    assert frame is not None
    sink = AnnotatedFolder(tmp_path / "out", OutputNames(), {})
    sink.write(Result(frame, Detections.empty(), Timings()))
    sink.close()
    source.close()
    assert os.listdir(tmp_path / "out") == [copy]


def test_a_small_jpeg_2000_has_a_copy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = Frame(np.zeros((16, 200, 3), np.uint8), 0, 0.0, 0, "a.jp2")
    sink = AnnotatedFolder(tmp_path / "out", OutputNames(), {})
    sink.write(Result(frame, Detections.empty(), Timings()))
    sink.close()
    assert os.listdir(tmp_path / "out") == ["a.jpg"] and capfd.readouterr().err == ""
