"""One word names a sink: what it may be, what is refused, and that `--to` and the short forms are the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.cli.app import app
from keepbusy.config import OutletConfig, Retry
from keepbusy.errors import ConfigError, SinkError
from keepbusy.sinks import drain
from keepbusy.sinks.crops import Crops
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.label_folder import MARK
from keepbusy.sinks.open import open_sinks
from keepbusy.sinks.spec import Outputs, SinkSpec, parse_sink
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from tests.build import build_blob_model, read_video, square_picture, write_picture, write_video


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("-", "json", "-"),
        ("out.jsonl", "json", "out.jsonl"),
        ("new/OUT.NDJSON", "json", "new/OUT.NDJSON"),
        ("json:out.json", "json", "out.json"),
        ("json:-", "json", "-"),
        ("out.mp4", "video", "out.mp4"),
        ("a.b/out.MKV", "video", "a.b/out.MKV"),
        ("video:12:30.mov", "video", "12:30.mov"),
        ("12:30.mov", "video", "12:30.mov"),
        ("C:\\out.mp4", "video", "C:\\out.mp4"),
        ("out.jpg", "picture", "out.jpg"),
        ("picture:P.PNG", "picture", "P.PNG"),
        ("out/", "images", "out/"),
        ("out", "images", "out"),
        ("v1.2/", "images", "v1.2/"),
        ("images:out.mp4/", "images", "out.mp4/"),
        ("d.jsonl/", "images", "d.jsonl/"),
        ("d.mp4/", "images", "d.mp4/"),
        ("d.jpg//", "images", "d.jpg//"),
        ("d.xyz/", "images", "d.xyz/"),
        ("d.jsonl/.", "images", "d.jsonl/."),
        ("d.mp4/..", "images", "d.mp4/.."),
        ("..", "images", ".."),
        ("labels:out", "labels", "out"),
        ("labels:out.txt/", "labels", "out.txt/"),
        ("crops:out/", "crops", "out/"),
        ("window:", "window", ""),
        ("./json:out.mp4", "video", "./json:out.mp4"),
    ],
)
def test_a_word_names_a_kind_and_a_place(text: str, kind: str, location: str) -> None:
    assert parse_sink(text) == SinkSpec(kind=kind, location=location)  # type: ignore[arg-type]


def test_a_folder_that_is_there_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.jsonl", "c.xyz"):
        (tmp_path / name).mkdir()
        assert parse_sink(str(tmp_path / name)).kind == "images"


def test_short_forms_know_folders_by_their_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "model.xml")
    write_picture(tmp_path / "in.jpg", square_picture())
    words = ["in.jpg", "-m", "model.xml", "--cache-dir", "none"]
    run(*words, "--save", "d.mp4/", "--to", "e.jsonl/")
    assert sorted(map(str, Path().glob("*/*"))) == ["d.mp4/in.jpg", "e.jsonl/in.jpg"]
    with pytest.raises(ConfigError, match=r"--json: f\.jsonl/ names a folder, and json writes a file"):
        run(*words, "--json", "f.jsonl/")
    with pytest.raises(ConfigError, match="a: has no ending"):
        kb.detect_to("model.xml", "in.jpg", SinkSpec(kind="video", location="a"))
    assert not Path("f.jsonl").exists()


def test_options_stand_behind_a_question_mark() -> None:
    spec = parse_sink("out.mp4?encoder=vp9&sound=no&labels=no&conf=no&throughput=no&line_width=3&on_full=drop_oldest")
    assert (spec.encoder, spec.has_sound, spec.outlet) == ("vp9", False, OutletConfig(on_full="drop_oldest"))
    style = spec.style
    assert (style.has_labels, style.has_confidence, style.has_throughput, style.line_width_px) == (
        False,
        False,
        False,
        3,
    )
    spec = parse_sink("labels:out?conf=yes&exist_ok=yes&on_error=retry&attempts=9")
    assert spec.with_confidence and spec.exist_ok
    assert (spec.outlet.on_error, spec.outlet.retry.max_attempts) == ("retry", 9)
    assert spec.outlet.retry == Retry(first_wait_s=0.5, max_wait_s=10.0, max_attempts=9)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "the sink: names no place", "give a file"),
        ("labels:", "labels:: names no place", "give a file"),
        ("?on_full=wait", "names no place", "give a file"),
        ("out.xyz", "out.xyz: unknown kind of file .xyz", "json:FILE"),
        ("lables:out", "there is no kind of sink lables:", "did you mean labels:?"),
        ("mqtt://host/topic", "there is no kind of sink mqtt:", "the kinds are json:, video:"),
        ("note:out.mp4", "there is no kind of sink note:", "write ./note:out.mp4"),
        ("window:out", "a window has no place", "write window:"),
        ("out.mp4?", "nothing follows '?'", "out.mp4?encoder=vp9"),
        ("out.mp4?encoder", "key 'encoder' has no value", "out.mp4?encoder=vp9"),
        ("out.mp4?sound=no&sound=yes", "key 'sound' appears twice", "out.mp4?encoder=vp9"),
        ("out.mp4?codec=vp9", "video has no option codec", "did you mean encoder?"),
        ("out.jsonl?encoder=vp9", "json has no option encoder", "the options are on_full, on_error, attempts"),
        ("out.jsonl?onfull=wait", "json has no option onfull", "did you mean on_full?"),
        ("out.jsonl?on_full=drop", "on_full cannot be 'drop'", "give one of wait, drop_oldest"),
        ("out.jsonl?on_error=raise", "on_error cannot be 'raise'", "give one of stop, retry, count"),
        ("out.jsonl?on_error=retry&attempts=0", "attempts cannot be '0'", "a whole number from 1 to 1024"),
        ("out.jsonl?on_error=retry&attempts=1_0", "attempts cannot be '1_0'", "a whole number"),
        ("out.jsonl?attempts=3", "nothing is tried again", "add on_error=retry"),
        ("out.mp4?on_error=retry", "a video's pictures cannot be written again", "on_error=count"),
        ("out.mp4?sound=false", "sound cannot be 'false'", "give yes or no"),
        ("out.mp4?line_width=101", "line_width cannot be '101'", "from 1 to 100"),
        ("json:out/", "out/ names a folder, and json writes a file", "add a file name"),
        ("json:d.jsonl/?on_error=count", "d.jsonl/ names a folder, and json", "add a file name"),
        ("video:d.mp4/", "d.mp4/ names a folder, and video", "add a file name"),
        ("picture:d.jpg/.", "d.jpg/. names a folder, and picture", "add a file name"),
        ("video:a", "a: has no ending that tells the kind of file", "use .m4v, .mkv, .mov, .mp4"),
        ("video:.mp4", ".mp4: has no ending", "use .m4v"),
        ("video:a.avi", "a.avi: unknown kind of file .avi", "use .m4v"),
        ("picture:a", "a: has no ending", ".jpg, .png"),
        ("picture:a.gif", "a.gif: unknown kind of file .gif", ".jpg, .png"),
        ("out.mp4?encoder=divx", "encoder cannot be 'divx'", "give one of auto, h264"),
    ],
)
def test_what_names_no_sink_is_told_what_does(text: str, said: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sink(text)
    assert said in caught.value.message and hint in (caught.value.hint or "")
    with pytest.raises(ConfigError) as caught:
        parse_sink(text, option="--to")
    assert caught.value.message.startswith("--to: ")


def test_short_forms_name_the_same_sinks() -> None:
    outputs = Outputs(save=Path("a.mp4"), json="-", save_txt=Path("l"), save_crop=Path("c"), show=True, save_conf=True)
    told = {spec.option: spec for spec in outputs.specs()}
    assert list(told) == ["--json", "--save", "--save-txt", "--save-crop", "--show"]
    for option, text in {
        "--json": "-",
        "--save": "a.mp4",
        "--save-txt": "labels:l?conf=yes",
        "--save-crop": "crops:c",
        "--show": "window:",
    }.items():
        assert told[option] == parse_sink(text, option=option)


def test_each_kind_is_opened(tmp_path: Path) -> None:
    for text, kind in {
        "new/out.jsonl": JsonLines,
        "new/out.mp4?encoder=mpeg4": VideoFile,
        "new/out.png": ImageFile,
        "images:new/images": AnnotatedFolder,
        "labels:new/labels?on_full=drop_oldest": YoloTxt,
        "crops:new/crops": Crops,
    }.items():
        head, _, tail = text.rpartition("new/")
        sink = kb.open_sink(f"{head}{tmp_path}/new/{tail}")
        assert type(sink) is kind and sink.name.startswith(f"{tmp_path}/new/")
        assert sink.outlet.on_full == ("drop_oldest" if kind is YoloTxt else "wait")
        sink.close()
    assert (tmp_path / "new" / "labels" / MARK).is_file()
    records = kb.open_sink(tmp_path / "path.jsonl")
    records.close()
    assert type(records) is JsonLines
    assert kb.open_sink("-").name == "standard output"


def test_sinks_named_twice_and_sinks_that_cannot_be_made_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for pair in (("-", "json:-"), ("images:o", "o/"), ("labels:o", "labels:link/o"), ("window:", "window:")):
        here = [text.replace("o", f"{tmp_path}/o", 1) if text in ("o/",) else text for text in pair]
        with pytest.raises(ConfigError, match="is named twice"):
            os.chdir(tmp_path)
            open_sinks(here)
    assert os.listdir(tmp_path) == ["link"]
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError):  # A file that is left open is a ResourceWarning, and fails the test.
        open_sinks([f"{tmp_path}/out.jsonl", f"{tmp_path}/file/out.mp4"])
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.txt").write_text("0 0 0 0 0\n")
    with pytest.raises(SinkError, match="which keepbusy did not write") as caught:
        kb.open_sink(f"labels:{tmp_path}/theirs")
    assert "exist_ok=yes" in (caught.value.hint or "") and "--" not in caught.value.message


def test_sinks_from_python_know_the_rate_and_the_streams(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    video, records = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with kb.Pipeline(blob_model) as pipeline:
        drain(pipeline.run(clip, limit=5), [kb.open_sink(video), kb.open_sink(str(records))])
    assert len(read_video(video)) == 5 and len(records.read_text().splitlines()) == 5


def run(*words: str) -> None:
    result = CliRunner().invoke(app, ["detect", *words, "-q"], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_program_writes_to_all_sinks_that_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "model.xml")
    write_video(tmp_path / "clip.mp4", num_frames=3)
    words = ["clip.mp4", "-m", "model.xml", "--cache-dir", "none"]
    run(*words, "--json", "short.jsonl", "--save", "short", "--save-txt", "short/labels", "--save-crop", "short/crops")
    tos = ["long.jsonl?on_full=wait", "long/", "labels:long/labels", "crops:long/crops", "long.mp4?on_error=count"]
    run(*words, *(word for text in tos for word in ("--to", text)))
    assert (tmp_path / "long.jsonl").read_text() == (tmp_path / "short.jsonl").read_text()
    files = [sorted(str(path.relative_to(name)) for path in Path(name).rglob("*")) for name in ("short", "long")]
    assert files[0] == files[1] and len(files[0]) > 6
    assert len(read_video(tmp_path / "long.mp4")) == 3


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["clip.mp4"], "--to: clip.mp4 is an input"),
        (["out.jsonl", "./clip.mp4?on_error=count"], "--to (2): clip.mp4 is an input"),
        (["json:clip.mp4"], "--to: clip.mp4 is an input"),
        (["json:model.bin"], "--to: model.bin is an input"),
        (["json:link"], "--to: link is the same file as the input clip.mp4"),
        (["images:."], "is an input"),
        (["labels:."], "--to: names.txt is an input"),
        (["out/", "out/a.mp4"], "--to (2): out/a.mp4 is in the folder of --to"),
        (["images:v1.0", "v1.0/a.mp4"], "--to (2): v1.0/a.mp4 is in the folder of --to"),
        (["a.jsonl", "./a.jsonl"], "--to: ./a.jsonl is named twice"),
        (["json:a.mp4", "a.mp4"], "--to and --to (2) name the same file: a.mp4"),
        (["-", "-"], "--to: standard output is named twice"),
    ],
)
def test_no_sink_costs_an_input_or_another_sink(
    texts: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "model.xml")
    write_video(tmp_path / "clip.mp4", num_frames=3)
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    os.symlink("clip.mp4", tmp_path / "link")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    words = ["clip.mp4", "-m", "model.xml", "--names", "names.txt", "-q"]
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(
            app, ["detect", *words, *(word for text in texts for word in ("--to", text))], catch_exceptions=False
        )
    assert said in caught.value.message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_short_and_long_forms_are_checked_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "c.png"):
        write_picture(tmp_path / name, square_picture())
    with pytest.raises(ConfigError, match="--json and --to: standard output is named twice"):
        CliRunner().invoke(app, ["detect", "a.png", "--json", "-", "--to", "-"], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"--to: b\.png is one picture for a source of many"):
        CliRunner().invoke(app, ["detect", ".", "--to", "b.png"], catch_exceptions=False)


def test_failed_writes_that_are_counted_end_the_program_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "model.xml")
    write_video(tmp_path / "clip.mp4", num_frames=4)
    real = JsonLines._append

    def append(self: JsonLines, file: object, content: bytes) -> None:
        if json.loads(content)["index"] == 1:
            raise OSError(28, "No space left on device")
        real(self, file, content)  # type: ignore[arg-type]

    monkeypatch.setattr(JsonLines, "_append", append)
    words = ["detect", "clip.mp4", "-m", "model.xml", "--cache-dir", "none", "--to", "out.jsonl?on_error=count"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, SinkError)
    assert result.exception.message.startswith("out.jsonl: 1 of 4 results could not be written; the first: out.jsonl:")
    assert [json.loads(line)["index"] for line in Path("out.jsonl").read_text().splitlines()] == [0, 2, 3]
    assert "1 results could not be written to out.jsonl" in result.output
