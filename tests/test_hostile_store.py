"""What a server, or somebody else in the cache folder, can do to the store of models: an error in bounded time."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from keepbusy.errors import ConfigError, ModelError
from keepbusy.models.store import ModelStore, find_model
from keepbusy.models.store.catalogue import KnownModel
from keepbusy.models.store.download import fetch_part, part_path
from keepbusy.models.store.limits import LARGER, Limits, limits_for
from tests.graphs import onnx_model
from tests.http_server import serving
from tests.interrupts import NUM_PLACES, interrupted_everywhere
from tests.waiting import wait_until

CONTENT = onnx_model(200_000, seed=3)
QUICK = Limits(timeout_s=1.0, max_bytes=1_000_000)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("KEEPBUSY_MODELS_URL", "KEEPBUSY_MODELS_MAX_MB", "KEEPBUSY_MODELS_MAX_HOURS"):
        monkeypatch.delenv(name, raising=False)


class Server:
    """Answers each request with the next of some answers; the last one again and again.

    An answer is its status, its headers and its body; a body may be a function that writes it.
    """

    def __init__(self, *answers: tuple[int, dict[str, str], Any]) -> None:
        self.answers = list(answers)
        self.num_requests = 0
        self.url = ""
        self.is_over = threading.Event()


@contextlib.contextmanager
def served(*answers: tuple[int, dict[str, str], Any]) -> Iterator[Server]:
    server = Server(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = min(server.num_requests, len(server.answers) - 1)
            server.num_requests += 1
            status, headers, body = server.answers[number]
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if not callable(body) and "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if callable(body):
                    body(self, server)
                else:
                    self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as server.url:
        try:
            yield server
        finally:
            server.is_over.set()


def store_of(server: Server, folder: Path, *, is_pinned: bool = False, limits: Limits = QUICK) -> ModelStore:
    url = "https://example.invalid/v1/tiny.onnx"
    sha256 = hashlib.sha256(CONTENT).hexdigest() if is_pinned else None
    known = KnownModel(name="tiny", family="Tiny", url=url, licence="MIT", licence_url=url, sha256=sha256)
    return ModelStore(folder, catalogue=(known,), base_url=server.url, limits=limits)


def refused(store: ModelStore) -> str:
    """Why a model cannot be had, in one line; there is nothing of it in the cache that is used later."""
    with pytest.raises(ModelError) as caught:
        find_model("tiny", store=store)
    message = caught.value.message
    assert "\n" not in message and caught.value.hint
    assert not (store.folder / "tiny.onnx").exists() and not (store.folder / "tiny.onnx.json").exists()
    return message


OK = (200, {"ETag": '"one"'}, CONTENT)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((201, {}, CONTENT), "the server answers 201 Created, and 200 is expected"),
        ((203, {}, CONTENT), "the server answers 203"),
        ((204, {}, b""), "the server answers 204"),
        ((206, {"Content-Range": "bytes 0-9/200000"}, CONTENT[:10]), "the server answers 206"),
        ((200, {}, b""), "the answer is empty"),
        ((200, {"Content-Type": "text/html; charset=x"}, CONTENT), "a web page came"),
        ((200, {"Content-Type": "application/json"}, b"{}"), "application/json came in place of the file"),
        ((200, {"Content-Type": "text/xml"}, CONTENT), "text/xml came"),
        ((200, {"Content-Encoding": "gzip"}, CONTENT), "the file came compressed"),
        ((200, {}, b'{"message": "rate limit"}'), "is no ONNX model: it cannot be read"),
        ((200, {}, b"\0" * 1000), "is no ONNX model"),
        ((200, {}, CONTENT[:1000]), "is no ONNX model"),
        ((200, {"Content-Length": "-5"}, CONTENT), "does not tell the file's length"),
        ((200, {"Content-Length": "many"}, CONTENT), "does not tell the file's length"),
        ((200, {"Content-Length": "9" * 30}, CONTENT), "and 1 MB are allowed (KEEPBUSY_MODELS_MAX_MB allows more)"),
        ((200, {"Content-Length": "2000000"}, CONTENT), "the server brings 2 MB or more"),
        ((404, {}, b"gone"), "the server answers 404"),
        ((500, {}, b""), "the server answers 500"),
        ((416, {}, b""), "the server answers 416"),
    ],
)
def test_only_a_complete_answer_that_is_a_model_counts(
    answer: tuple[int, dict[str, str], bytes], reason: str, tmp_path: Path
) -> None:
    with served(answer) as server:
        assert reason in refused(store_of(server, tmp_path))
        # And it is the same the next time: nothing that was kept gets in the way of a server that is mended.
        assert reason in refused(store_of(server, tmp_path))
        server.answers = [OK]
        assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "http://[::1",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "javascript:x",
        "//",
        "http://",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:port/x",
        "http://a b/",
        "gopher://x",
        "http:///x",
        "\x01http://x",
        "HTTP://[",
    ],
)
def test_redirects_to_nonsense_are_one_line_each_time(location: str, tmp_path: Path) -> None:
    with served((302, {"Location": location}, b"")) as server:
        first = refused(store_of(server, tmp_path))
        assert refused(store_of(server, tmp_path)) == first
        server.answers = [OK]
        assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    with served((302, {"Location": "/tiny.onnx"}, b"")) as server:
        assert "the server redirects more than 10 times" in refused(store_of(server, tmp_path))
        assert server.num_requests < 30


def pour(handler: BaseHTTPRequestHandler, server: Server) -> None:
    """A body without an end."""
    while not server.is_over.is_set():
        handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def drip(handler: BaseHTTPRequestHandler, server: Server) -> None:
    """A body that comes byte by byte."""
    while not server.is_over.wait(0.02):
        handler.wfile.write(b"x")


def test_a_body_without_an_end_is_cut_at_the_limit(tmp_path: Path) -> None:
    with served((200, {"Transfer-Encoding": "chunked"}, pour)) as server:
        assert "and 1 MB are allowed" in refused(store_of(server, tmp_path))
        assert not (tmp_path / "tiny.onnx.part").exists()


def test_a_server_that_drips_is_left(tmp_path: Path) -> None:
    slow = Limits(timeout_s=5.0, max_bytes=1_000_000, min_bytes_per_s=10_000, speed_window_s=0.3)
    with served((200, {"Content-Length": "900000"}, drip)) as server:
        assert "the server brings less than 10 kB/s" in refused(store_of(server, tmp_path, limits=slow))
    short = Limits(timeout_s=5.0, max_bytes=1_000_000, max_s=0.3)
    with served((200, {"Content-Length": "900000"}, drip)) as server:
        assert "it takes longer than" in refused(store_of(server, tmp_path / "other", limits=short))


@contextlib.contextmanager
def spoken(begin: bytes, again: bytes, pause_s: float = 0.02) -> Iterator[Server]:
    """A server that says something to each connection, and then something else again and again, without end."""
    server = Server()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            while not server.is_over.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(begin)
                    while not server.is_over.wait(pause_s):
                        connection.sendall(again)

        thread = threading.Thread(target=speak)
        thread.start()
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield server
        finally:
            server.is_over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname(), timeout=1).close()
            thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
LATE = "the headers of the server's answer are not complete after 0.6 s"
SLOW = "the server brings less than 1 kB/s"


@pytest.mark.parametrize(
    ("begin", "again", "reason"),
    [
        (b"", b"H", LATE),
        (b"HTTP/1.1 200 O", b"K", LATE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9", b"9", LATE),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", LATE),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", LATE),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n", b"X: y\r\n", LATE),
        (b"HTTP/1.1 404 Gone\r\n", b"X: y\r\n", LATE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", SLOW),
        (CHUNKED + b"5;", b"x", SLOW),
        (CHUNKED + b"0", b"0", SLOW),
        (CHUNKED + b"0\r\n", b"X: y\r\n", SLOW),
        (CHUNKED + b"0\r\nX", b"y", SLOW),
    ],
)
def test_a_server_that_drips_between_the_blocks_is_left(
    begin: bytes, again: bytes, reason: str, tmp_path: Path
) -> None:
    limits = Limits(timeout_s=0.3, max_bytes=1_000_000, speed_window_s=0.3)
    with spoken(begin, again) as server:
        assert reason in refused(store_of(server, tmp_path, limits=limits))


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX:", CHUNKED + b"0\r\nX:", CHUNKED + b"5;"])
def test_the_longest_time_holds_whatever_comes(begin: bytes, tmp_path: Path) -> None:
    limits = Limits(timeout_s=60.0, max_bytes=1_000_000, max_s=0.36)
    with spoken(begin, b"x") as server:
        assert "it takes longer than 0.0001 h" in refused(store_of(server, tmp_path, limits=limits))


def test_a_handshake_that_never_ends_is_left(tmp_path: Path) -> None:
    # A record of TLS that is announced as longer than what comes of it.
    with spoken(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0", b"x") as server:
        server.url = server.url.replace("http:", "https:")
        limits = Limits(timeout_s=0.3, max_bytes=1_000_000)
        # The standard library bounds a handshake as a whole, by the time that is allowed for silence.
        assert "the server was silent for 0.3 s" in refused(store_of(server, tmp_path, limits=limits))


def test_silence_is_told_as_silence(tmp_path: Path) -> None:
    with spoken(b"HTTP/1.1 200 OK\r\n", b"", pause_s=0.1) as server:
        limits = Limits(timeout_s=0.3, max_bytes=1_000_000)
        assert "the server was silent for 0.3 s" in refused(store_of(server, tmp_path, limits=limits))


def test_broken_chunks_end(tmp_path: Path) -> None:
    for body in (b"zzz\r\nabc", b"5\r\nab", b"-5\r\nabc\r\n", b"FFFFFFFFFFFFFFFFFFFF\r\nabc", b"\r\n\r\n", b""):
        with served((200, {"Transfer-Encoding": "chunked"}, body)) as server:
            refused(store_of(server, tmp_path))
            assert server.num_requests < 25


def test_a_tag_that_changes_each_time_starts_over_and_ends(tmp_path: Path) -> None:
    def cut(handler: BaseHTTPRequestHandler, server: Server) -> None:
        handler.wfile.write(CONTENT[: 50_000 + 10_000 * server.num_requests])

    answers = [(200, {"ETag": f'"{n}"', "Content-Length": str(len(CONTENT))}, cut) for n in range(40)]
    with served(*answers, OK) as server:
        with contextlib.suppress(ModelError):
            assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT
        assert server.num_requests <= 21
        server.answers = [OK]
        assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT


NOTE = {"url": "", "etag": '"one"', "last_modified": None, "length": len(CONTENT)}


@pytest.mark.parametrize(
    "change",
    [
        {"etag": 5}, {"etag": ["a"]}, {"etag": "a\r\nX-Evil: 1"}, {"etag": "x" * 100_000}, {"etag": True},
        {"last_modified": 7.5}, {"last_modified": {}}, {"length": -1}, {"length": "x"}, {"length": True},
        {"length": 10**30}, {"length": 1.5}, {"url": None}, {"url": 5},
    ],
)  # fmt: skip
def test_a_note_that_is_not_as_it_is_written_starts_over(change: dict[str, Any], tmp_path: Path) -> None:
    with served(OK) as server:
        (tmp_path / "tiny.onnx.part").write_bytes(b"y" * 1000)
        note = {**NOTE, "url": f"{server.url}/tiny.onnx", **change}
        (tmp_path / "tiny.onnx.part.json").write_text(json.dumps(note))
        assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "[" * 100_000, '{"url": 1}', "\0", "x" * 10_000_000])
def test_a_note_that_is_none_starts_over(text: str, tmp_path: Path) -> None:
    with served(OK) as server:
        (tmp_path / "tiny.onnx.part").write_bytes(b"y" * 1000)
        (tmp_path / "tiny.onnx.part.json").write_text(text)
        assert find_model("tiny", store=store_of(server, tmp_path)).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["tiny.onnx.part", "tiny.onnx.part.json"])
def test_a_folder_in_a_files_place_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with served(OK) as server:
        assert "cannot be written" in refused(store_of(server, tmp_path))


@pytest.mark.parametrize("record", ["{}", '{"sha256": 5}', '{"sha256": "zz"}', "[]", "{", '{"sha256": null}'])
def test_a_record_that_is_none_is_said_and_nothing_is_trusted(record: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx.json").write_text(record)
    with served(OK) as server:
        with pytest.raises(ModelError, match="the record of tiny's checksum cannot be read"):
            find_model("tiny", store=store_of(server, tmp_path))
        assert (tmp_path / "tiny.onnx.json").read_text() == record


@pytest.mark.parametrize(
    "name",
    ["tiny.onnx.part", "tiny.onnx.part.json", "tiny.onnx.json.new", "tiny.onnx.licence", "tiny.onnx", "tiny.onnx.lock"],
)
def test_links_in_place_of_files_are_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for target in (tmp_path / "mine.txt", tmp_path / "gone.txt"):
        (tmp_path / "mine.txt").write_text("mine")
        for path in (tmp_path / "cache").iterdir():
            path.unlink()
        if name != "tiny.onnx" or target.name == "gone.txt":
            (tmp_path / "cache" / name).symlink_to(target)
        with served(OK) as server:
            store = store_of(server, tmp_path / "cache")
            path = find_model("tiny", store=store, on_licence=lambda known: None)
            assert path.read_bytes() == CONTENT and not path.is_symlink()
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert not (tmp_path / "gone.txt").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
@pytest.mark.parametrize(
    "name",
    ["tiny.onnx.part", "tiny.onnx.part.json", "tiny.onnx.json.new", "tiny.onnx.licence", "tiny.onnx", "tiny.onnx.lock"],
)
def test_pipes_in_place_of_files_are_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with served(OK) as server:
        path = find_model("tiny", store=store_of(server, tmp_path), on_licence=lambda known: None)
        assert path.read_bytes() == CONTENT
        assert not (tmp_path / name).is_fifo()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_pipe_in_place_of_a_record_is_not_believed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tiny.onnx.json")
    with served(OK) as server, pytest.raises(ModelError, match="cannot be read"):
        find_model("tiny", store=store_of(server, tmp_path))


def test_a_record_that_is_a_link_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"sha256": "0" * 64}))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tiny.onnx.json").symlink_to(tmp_path / "other.json")
    with served(OK) as server, pytest.raises(ModelError, match="cannot be read"):
        find_model("tiny", store=store_of(server, tmp_path / "cache"))


def test_the_cache_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "real")
    with served(OK) as server:
        find_model("tiny", store=store_of(server, tmp_path / "cache"))
    assert (tmp_path / "real" / "tiny.onnx").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_trusted_only_if_it_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"<html>")
    with served(OK) as server:
        store = store_of(server, tmp_path)
        with pytest.raises(ModelError, match="is no ONNX model"):
            find_model("tiny", store=store)
        assert not (tmp_path / "tiny.onnx.json").exists()
        (tmp_path / "tiny.onnx").write_bytes(CONTENT)
        assert find_model("tiny", store=store).read_bytes() == CONTENT
        assert server.num_requests == 0


def fetch(store: ModelStore) -> None:
    find_model("tiny", store=store)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # What was open when the interrupt came.
def test_an_interrupt_anywhere_leaves_what_is_gone_on_with_or_nothing(tmp_path: Path) -> None:
    folders = iter(tmp_path / str(number) for number in range(100_000))
    with served(OK) as server:
        for place, store in interrupted_everywhere(
            lambda: store_of(server, next(folders), is_pinned=True), fetch, num_places=NUM_PLACES
        ):
            assert find_model("tiny", store=store).read_bytes() == CONTENT, place
            left = {path.name for path in store.folder.iterdir()}
            assert left - {"tiny.onnx.part.json"} == {"tiny.onnx", "tiny.onnx.lock"}, place


def test_the_limits_come_from_the_size_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_for(10.0).max_bytes == 10_000_000 * LARGER
    assert limits_for(None).max_bytes == 2_000_000_000
    monkeypatch.setenv("KEEPBUSY_MODELS_MAX_MB", "5000")
    monkeypatch.setenv("KEEPBUSY_MODELS_MAX_HOURS", "0.5")
    assert limits_for(10.0).max_bytes == 5_000_000_000 and limits_for(10.0).max_s == 1800
    for wrong in ("x", "-1", "0", "nan", "inf", "1e400"):
        monkeypatch.setenv("KEEPBUSY_MODELS_MAX_MB", wrong)
        with pytest.raises(ConfigError, match="KEEPBUSY_MODELS_MAX_MB"):
            limits_for(10.0)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # What was open when the interrupt came.
def test_an_interrupt_anywhere_ends_what_watches_the_connection(tmp_path: Path) -> None:
    numbers = iter(range(100_000))
    with served(OK) as server:
        for place, target in interrupted_everywhere(
            lambda: tmp_path / str(next(numbers)), lambda target: fetched(server, target), num_places=NUM_PLACES
        ):
            gc.collect()  # An owner that was dropped in a cycle closes itself then.
            # One may not have begun when it was told to end.
            wait_until(lambda: all(one.name != "keepbusy-watch-download" for one in threading.enumerate()), place)
            fetched(server, target)
            assert part_path(target).read_bytes() == CONTENT, place


def fetched(server: Server, target: Path) -> None:
    fetch_part(f"{server.url}/tiny.onnx", target, limits=QUICK)
