"""No sink of a run writes over what another one writes, and none to nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.errors import ConfigError, SinkError
from keepbusy.sinks.apart import check_apart
from keepbusy.sinks.naming import OutputNames, keeps_sub_folders, roots_of
from keepbusy.sinks.spec import parse_sink
from keepbusy.testing import ScriptedSource
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.build import build_blob_model, square_picture, write_picture

FOLDERS = ["d", "d/person", "d/person/person", "d/person/sub", "d/sub", "e"]
SHALLOW = ["root/in.jpg", "root/in_0.jpg", "root/in_0_0.png"]
DEEP = [*SHALLOW, "root/person/in.jpg", "root/person/in_0.jpg", "root/sub/in.jpg", "root/person/sub/in_0.jpg"]


def written(word: str, sources: list[str], base: Path) -> set[str]:
    """The files that a sink writes, where it is alone."""
    kind, folder = word.split(":")
    names = OutputNames(roots_of(sources))
    sink = kb.open_sink(f"{kind}:{base}/{folder}", names=names)
    boxes = np.array([[16, 16, 48, 48]], np.float32)
    found = Detections(boxes, np.array([0.875], np.float32), np.array([0]), ("person",))
    for number, source in enumerate(sources):
        sink.write(Result(Frame(square_picture(), 0, 0.0, number, source), found, Timings()))
    sink.close()
    files = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file() and path.name != ".keepbusy"}
    assert len(files) == len(sources)
    return files


@pytest.mark.parametrize("sources", [SHALLOW, DEEP], ids=["one folder", "several"])
def test_folders_of_sinks_that_are_not_refused_never_have_a_file_in_common(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for source in sources:
        Path(source).parent.mkdir(parents=True, exist_ok=True)
        Path(source).touch()
    words = [f"{kind}:{folder}" for kind, folder in product(("images", "labels", "crops"), FOLDERS)]
    files = {word: written(word, sources, tmp_path / word.replace(":", "_").replace("/", "_")) for word in words}
    num_refused = 0
    for one, other in product(words, words):
        try:
            check_apart([parse_sink(one), parse_sink(other)], is_deep=keeps_sub_folders(sources))
        except ConfigError:
            num_refused += 1
        else:
            assert not files[one] & files[other], (one, other)
    assert 0 < num_refused < len(words) ** 2


def test_the_usual_folders_below_one_another_are_not_refused() -> None:
    usual = [parse_sink(word) for word in ("images:out", "crops:out/crops", "labels:out/labels", "json:out/a.jsonl")]
    check_apart(usual, is_deep=False)
    with pytest.raises(ConfigError, match="files of images:out and crops:out/crops could have the same name"):
        check_apart(usual, is_deep=True)
    check_apart([parse_sink(word) for word in ("images:out", "labels:out")], is_deep=True)


@pytest.mark.parametrize(
    "words",
    [
        ["crops:d", "images:d/person"],
        ["images:d/person", "crops:d"],
        ["crops:d", "crops:link/person"],
        ["crops:d", "images:link/../link/x"],
    ],
)
def test_folders_in_which_files_could_collide_are_refused_before_anything_is_made(
    words: list[str], blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("d")
    write_picture(tmp_path / "in.jpg", square_picture())
    with pytest.raises(ConfigError, match="could have the same name"):
        kb.detect_to(blob_model, "in.jpg", words)
    assert sorted(os.listdir()) == ["in.jpg", "link"]


def test_open_sources_may_have_frames_of_sub_folders(
    blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "in.jpg", square_picture())
    with pytest.raises(ConfigError, match="could have the same name"):
        kb.detect_to(blob_model, ["in.jpg", ScriptedSource(1)], ["images:d", "crops:d"])
    assert os.listdir() == ["in.jpg"]


@pytest.mark.parametrize("other", ["a.jsonl", "json:b.jsonl", "json:link"])
def test_names_of_one_file_are_refused(
    other: str, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("earlier\n")
    os.link("a.jsonl", "b.jsonl")
    os.symlink("b.jsonl", "link")
    with pytest.raises(ConfigError, match=r"named twice|name the same file"):
        kb.detect_to(blob_model, ScriptedSource(1), ["a.jsonl", other])
    with pytest.raises(ConfigError, match="name the same file"):
        kb.detect_to(blob_model, ScriptedSource(1), "a.jsonl", trace=other.removeprefix("json:"))
    assert Path("a.jsonl").read_text() == "earlier\n"


def detect(folder: Path, words: str, redirection: str = "| cat") -> subprocess.CompletedProcess[str]:
    """Run the program in a shell, with one picture."""
    build_blob_model(folder / "model.xml")
    write_picture(folder / "in.jpg", square_picture())
    line = f"set -o pipefail; {sys.executable} -m keepbusy detect in.jpg -m model.xml --quiet {words} {redirection}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, encoding="utf-8", timeout=100, check=False
    )


DEVICES = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
of_linux = pytest.mark.skipif(sys.platform != "linux", reason="names of devices are Linux's")


@of_linux
@pytest.mark.parametrize("redirection", ["| cat", "> out"])
def test_standard_output_under_another_name_is_the_same_place(tmp_path: Path, redirection: str) -> None:
    for words in (
        *(f"--to - --to json:{device}" for device in DEVICES[: 3 if redirection == "| cat" else 1]),
        "--json /dev/stdout --to json:/dev/fd/1",
        "--json - --trace /dev/stdout",
        *(["--to - --json out"] if redirection == "> out" else []),
    ):
        done = detect(tmp_path, words, redirection)
        assert done.returncode == 2 and done.stdout == ""
        assert any(text in done.stderr for text in ("is standard output", "named twice", "same file")), done.stderr
    done = detect(tmp_path, "--json -", "| cat")
    assert done.returncode == 0 and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    ["--json -", "--to - --to a.jsonl --to labels:labels --save b.jpg", "--to a.jsonl --to json:-"],
)
def test_results_for_a_closed_standard_output_are_refused_before_anything_is_done(words: str, tmp_path: Path) -> None:
    done = detect(tmp_path, words, ">&-")
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1 and "standard output is closed" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["in.jpg", "model.bin", "model.xml"]


@of_linux
def test_a_closed_standard_output_is_closed_under_any_name(tmp_path: Path) -> None:
    for words in (*(f"--json {device}" for device in DEVICES), "--trace /dev/stdout"):
        done = detect(tmp_path, words, ">&-")
        assert done.returncode == 1 and "standard output is closed" in done.stderr, done.stderr
    assert detect(tmp_path, "--json a.jsonl", ">&-").returncode == 0
    assert detect(tmp_path, "--json -", "> /dev/null").returncode == 0


@pytest.mark.parametrize("how", ["none", "closed", "file descriptor"])
def test_a_library_without_standard_output_is_told(
    how: str, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = (tmp_path / "stream").open("w")
    monkeypatch.setattr(sys, "stdout", None if how == "none" else stream)
    if how == "file descriptor":
        saved = os.dup(stream.fileno())
        os.close(stream.fileno())
    else:
        stream.close()
    own = ScriptedSource(3)
    try:
        for open_it in (lambda: kb.open_sink("-"), lambda: kb.detect_to(blob_model, own, ["-", tmp_path / "a.jsonl"])):
            with pytest.raises(SinkError, match="standard output is closed"):
                open_it()
    finally:
        if how == "file descriptor":
            os.dup2(saved, stream.fileno())
            os.close(saved)
            stream.close()
    assert own.num_read == 0 and own.is_closed and os.listdir(tmp_path) == ["stream"]
