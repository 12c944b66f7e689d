"""Passwords in sources' addresses reach no name, record, file name, error or log."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest

from keepbusy.errors import FrameError, SourceError, first_line
from keepbusy.sources import open_source
from keepbusy.texts import without_secrets
from tests.http_server import serving


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:hunter2@camera/stream", "rtsp://admin:***@camera/stream"),
        ("rtsp://admin:p@ss:w@camera:554/a@b", "rtsp://admin:***@camera:554/a@b"),
        ("rtsp://admin:p/s?s#w@camera/stream", "rtsp://admin:***@camera/stream"),
        ("https://TOKEN@host/x.mp4", "https://***@host/x.mp4"),
        ("http://host:8080/a@b.mp4", "http://host:8080/a@b.mp4"),
        ("http://host/a?user=me&Password=hunter2&x=1", "http://host/a?user=me&Password=***&x=1"),
        ("http://host/a?token=abc;api_key=def#sig=g", "http://host/a?token=***;api_key=***#sig=g"),
        ("http://host/a.mp4?token=x: cannot be opened", "http://host/a.mp4?token=***: cannot be opened"),
        ("(http://host/a?x=1&key=a:b.c), and", "(http://host/a?x=1&key=***), and"),
        ("http://host/a?token=a:b:", "http://host/a?token=***:"),
        ("http://host/a?token=", "http://host/a?token=***"),
        ("rtsp://camera/stream", "rtsp://camera/stream"),
        (
            "cannot open 'rtsp://a:b@c/d': refused; http://e:f@g",
            "cannot open 'rtsp://a:***@c/d': refused; http://e:***@g",
        ),
        ("C:/photos/me@home.jpg", "C:/photos/me@home.jpg"),
        ("rtmp://:@camera/live", "rtmp://:***@camera/live"),
    ],
)
def test_passwords_are_taken_out_of_addresses(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_errors_of_all_kinds_have_none(caplog: pytest.LogCaptureFixture) -> None:
    address = "rtsp://admin:hunter2@camera/stream"
    error = FrameError(f"{address} ended", stage="read", source=address, frame_index=3)
    assert "hunter2" not in f"{error} {error!r} {error.reason} {error.source} {error.message} {error.args}"
    assert "hunter2" not in first_line(OSError(f"cannot open {address}"))


@contextmanager
def motion_jpeg() -> Iterator[str]:
    """A camera that sends twenty pictures to whoever has the password; its address without a login."""
    content = cv2.imencode(".jpg", np.full((64, 96, 3), 90, np.uint8))[1].tobytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "Authorization" not in self.headers:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + content + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Camera) as address:
        yield f"{address.removeprefix('http://')}/live"


def test_what_is_written_of_a_camera_has_none(blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with motion_jpeg() as camera:
        command = [
            "detect",
            f"http://admin:hunter2@{camera}?token=hunter3",
            "-m",
            str(blob_model),
            "--on-error",
            "skip",
        ]
        outputs = ["--save", str(out), "--json", str(out / "a.jsonl"), "--save-txt", str(out / "labels")]
        outputs += ["--on-error", "skip"]
        done = subprocess.run(
            [sys.executable, "-m", "keepbusy", *command, *outputs],
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
    assert records
    assert {record["source"] for record in records} == {f"http://admin:***@{camera}?token=***"}
    written = [str(path.relative_to(tmp_path)) for path in out.rglob("*")]
    assert "hunter" not in f"{done.stdout} {done.stderr} {(out / 'a.jsonl').read_text()} {written}"


def test_a_source_that_cannot_be_opened_says_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for address in ("http://admin:hunter2@127.0.0.1:1/a.mp4", "rtsp://admin:hunter2@127.0.0.1:1/live?pwd=hunter2"):
        with pytest.raises(SourceError) as caught:
            open_source(address)
        assert "hunter2" not in f"{caught.value} {caught.value.hint} {caplog.text}"
        assert "admin:***@127.0.0.1:1" in caught.value.message
