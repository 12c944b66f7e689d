"""Pictures over http: what is fetched, within which limits, and what is said where it cannot be."""

from __future__ import annotations

import base64
import gzip
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.errors import FrameError, KeepbusyError, SourceError
from keepbusy.models.store.download import fetch_part
from keepbusy.sources.address import is_web
from keepbusy.sources.pipe import PipedPicture
from keepbusy.sources.single import read_single
from keepbusy.sources.video import Video
from keepbusy.sources.web import MAX_REDIRECTS, fetch_picture
from tests.build import square_picture
from tests.http_server import serving

PICTURE = bytes(cv2.imencode(".png", square_picture())[1].tobytes())
LOGIN = f"Basic {base64.b64encode(b'admin:p@ss').decode()}"

Answering = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def site(answer: Answering) -> Iterator[str]:
    """A server whose GET does something."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield address


def send(
    request: BaseHTTPRequestHandler, content: bytes, kind: str = "image/png", *, length: int | None = None
) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    request.wfile.write(content)


def answer_raw(
    request: BaseHTTPRequestHandler, status: int, reason: str, content: bytes = b"", header: str = "X-Nothing: 1"
) -> None:
    """An answer as no library writes it: nothing is checked."""
    head = (
        f"HTTP/1.0 {status} {reason}\r\nContent-Type: image/png\r\n{header}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    request.wfile.write(head.encode("latin-1") + content)


def redirect(request: BaseHTTPRequestHandler, location: str) -> None:
    request.send_response(302)
    request.send_header("Location", location)
    request.send_header("Content-Length", "0")
    request.end_headers()


def test_a_detector_and_a_run_take_an_address(blob_model: Path) -> None:
    with site(lambda request: send(request, PICTURE)) as address:
        with kb.Detector(blob_model) as detector:
            expected = detector(square_picture()).boxes_xyxy
            assert np.array_equal(detector(f"{address}/any").boxes_xyxy, expected)
            assert [len(one) for one in detector([f"{address}/a.png", square_picture()])] == [len(expected)] * 2
        with kb.Pipeline(blob_model) as pipeline:
            # Results of two sources come in no order between them.
            found = pipeline.run(f"{address}/a.png?size=1", iter([f"{address}/b"]))
            (result, other) = sorted(found, key=lambda one: one.frame.source_id)
            assert np.array_equal(result.detections.boxes_xyxy, expected)
            assert np.array_equal(other.detections.boxes_xyxy, expected)
            assert (result.frame.source, other.frame.source) == (f"{address}/a.png?size=1", f"{address}/b")


def test_open_source_takes_an_address_with_a_pictures_ending_for_a_picture() -> None:
    with site(lambda request: send(request, PICTURE)) as address:
        source = kb.open_source(f"{address}/shot.PNG")
        assert isinstance(source, PipedPicture) and source.info.num_frames == 1
        frame = source.read()
        assert frame is not None and np.array_equal(frame.image, square_picture())  # type: ignore[arg-type]
        source.close()
        other = kb.open_source(f"{address}/stream")
        assert isinstance(other, Video), "everything else is FFmpeg's to tell"
        other.close()


def test_a_name_and_a_password_are_sent_and_never_shown() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Authorization") != LOGIN:
            request.send_error(401)
        elif request.path == "/moved":
            redirect(request, "/a.png")
        else:
            send(request, PICTURE)

    with site(answer) as address:
        known = address.replace("http://", "http://admin:p%40ss@")
        assert fetch_picture(f"{known}/a.png").content == PICTURE
        assert fetch_picture(f"{known}/moved").content == PICTURE
        wrong = address.replace("http://", "http://admin:wrong@")
        with pytest.raises(FrameError, match="the server answers 401") as caught:
            read_single(f"{wrong}/a.png")
        assert "wrong" not in str(caught.value) and "wrong" not in caught.value.source


def test_a_password_does_not_go_along_to_another_server() -> None:
    seen: list[str | None] = []

    def other(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        send(request, PICTURE)

    with site(other) as far, site(lambda request: redirect(request, f"{far}/a.png")) as near:
        assert fetch_picture(f"{near}/x".replace("http://", "http://admin:p%40ss@")).content == PICTURE
    assert seen == [None]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "data:image/png,"])
def test_a_redirect_leads_to_no_other_kind_of_address(location: str) -> None:
    with (
        site(lambda request: redirect(request, location)) as address,
        pytest.raises(SourceError, match="redirects to an address that is not safe"),
    ):
        fetch_picture(f"{address}/a.png")


def test_redirects_come_to_an_end() -> None:
    num_requests = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal num_requests
        num_requests += 1
        redirect(request, "/again")

    with site(answer) as address, pytest.raises(SourceError, match=f"redirects more than {MAX_REDIRECTS} times"):
        fetch_picture(f"{address}/a.png")
    assert num_requests == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: request.send_error(404), "the server answers 404 Not Found"),
        (lambda request: send(request, b"<html>", "text/html"), "a web page came, and no picture"),
        (lambda request: send(request, PICTURE, length=len(PICTURE) + 9), "broke off|IncompleteRead"),
        (lambda request: send(request, b"x" * 2000), "more than 1,000 bytes"),
        (lambda request: request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000), "more than 1,000 bytes"),
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "cannot be fetched"),
        (lambda request: answer_raw(request, 204, "No Content"), "the server answers 204 No Content, and no picture"),
        (
            lambda request: answer_raw(request, 206, "Partial Content", PICTURE[:9]),
            "answers 206 Partial Content, and no",
        ),
        (lambda request: answer_raw(request, 200, "OK", b""), "the answer is empty"),
        (
            lambda request: answer_raw(request, 200, "OK", gzip.compress(PICTURE), "Content-Encoding: gzip"),
            r"it comes compressed \(gzip\), though it was asked for as it is",
        ),
    ],
)
def test_what_is_no_picture_is_not_taken(answer: Answering, words: str) -> None:
    with site(answer) as address, pytest.raises(SourceError, match=words) as caught:
        fetch_picture(f"{address}/a.png", max_bytes=1000)
    assert "picture" in (caught.value.hint or "")


ODD = "\x1b[2J\x9b31m\x07evil"


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: answer_raw(request, 404, ODD),
        lambda request: answer_raw(request, 204, ODD),
        lambda request: answer_raw(request, 200, "OK", PICTURE, f"Content-Encoding: {ODD}"),
        lambda request: answer_raw(request, 302, "Found", b"", f"Location: http://127.0.0.1:1/{ODD}"),
        lambda request: answer_raw(request, 302, "Found", b"", f"Location: http://{ODD}/a"),
        lambda request: request.wfile.write(f"{ODD}\r\n\r\n".encode("latin-1")),
        lambda request: request.wfile.write(f"HTTP/{ODD} 200 OK\r\n\r\n".encode("latin-1")),
        lambda request: send(request, b"--frame", f"multipart/{ODD}"),
        lambda request: answer_raw(request, 500, "x" * 5000),
    ],
)
def test_what_a_server_says_controls_no_terminal_and_is_one_short_line(answer: Answering) -> None:
    with site(answer) as address, pytest.raises(FrameError) as caught:
        read_single(f"{address}/a.jpg")
    assert caught.value.message.isprintable() and len(caught.value.message) < 400
    with site(answer) as address, pytest.raises(KeepbusyError) as opening:
        fetch_model(f"{address}/a.onnx")
        raise KeepbusyError("a model may be of any other type")
    assert opening.value.message.isprintable() and len(opening.value.message) < 400


def test_what_is_asked_for_as_it_is_may_say_so() -> None:
    with site(lambda request: answer_raw(request, 200, "OK", PICTURE, "Content-Encoding: Identity")) as address:
        assert fetch_picture(f"{address}/a.png").content == PICTURE


def test_motion_jpeg_is_not_read_for_a_picture() -> None:
    kind = "multipart/x-mixed-replace"
    with site(lambda request: send(request, b"--frame", f"{kind}; boundary=frame")) as address:
        assert fetch_picture(f"{address}/a.jpg") == (b"", kind)
        with pytest.raises(FrameError, match=f"the server sends {kind}") as caught:
            read_single(f"{address}/a.jpg")
        assert "Pipeline.run" in (caught.value.hint or "")


def fetch_model(url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fetch_part(url, Path(folder) / "a.onnx")


def wait_for(event: threading.Event) -> None:
    event.wait(30)


def test_a_server_that_is_silent_is_given_up() -> None:
    end = threading.Event()
    with site(lambda request: wait_for(end)) as address:
        try:
            with pytest.raises(SourceError, match=r"the server was silent for 0\.2 s"):
                fetch_picture(f"{address}/a.png", silence_s=0.2)
        finally:
            end.set()


def drip_body(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    drip(request)


def drip(request: BaseHTTPRequestHandler) -> None:
    try:
        for _ in range(600):
            request.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:
        pass  # The client has given up.


def drip_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
    drip(request)


@pytest.mark.parametrize("answer", [drip_body, drip_headers])
def test_a_server_that_drips_is_given_up_when_the_whole_time_is_over(answer: Answering) -> None:
    with site(answer) as address, pytest.raises(SourceError, match=r"it takes longer than 0\.4 s$") as caught:
        fetch_picture(f"{address}/a.png", silence_s=5.0, whole_s=0.4)
    assert caught.value.__cause__ is not None


def test_a_wait_that_the_whole_time_cuts_short_is_no_silence() -> None:
    end = threading.Event()
    with site(lambda request: wait_for(end)) as address:
        try:
            with pytest.raises(SourceError, match=r"it takes longer than 0\.3 s$"):
                fetch_picture(f"{address}/a.png", silence_s=5.0, whole_s=0.3)
        finally:
            end.set()


def test_no_server_is_an_error_with_a_reason() -> None:
    with site(lambda request: None) as address:
        pass
    with pytest.raises(FrameError, match="cannot be fetched: Connection refused"):
        read_single(f"{address}/a.png")
    for wrong in ("http://", "http://[::1", "http://a b/c.png", "https://127.0.0.1:99999/a.png"):
        with pytest.raises(FrameError, match="cannot be fetched") as caught:
            read_single(wrong)
        assert caught.value.hint


def test_what_is_an_address() -> None:
    assert is_web("http://a") and is_web("HTTPS://a")
    assert not any(map(is_web, ("rtsp://a", "ftp://a", "httpx", "a.jpg", "")))
