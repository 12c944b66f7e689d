"""Outputs of names in any script and bytes, of several clips, of odd pixels and colours."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from keepbusy.errors import SinkError
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames, valid_text
from keepbusy.types import Detections, Frame, Result, Timings


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
    return Result(Frame(picture, index, timestamp_s, 0, source), found, Timings(decode_end_ns=(index + 1) * 10**7))


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
    assert stems == ["bad_xff", "bad_xfe"]


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
