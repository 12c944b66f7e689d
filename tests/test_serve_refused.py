"""Uninvited access to `keepbusy serve`, each kind tried: what is refused, what is cut off, what is not told."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.build import write_video
from tests.served import Server, serving, soon

TOKEN, VIEWER = "admin+token/0123456789", "viewer+token/0123456789"
ADMIN = {"authorization": f"Bearer {TOKEN}"}

PASSWORD, KEY = "s3cret&p%ss word", "k3y-of-the-camera"
WRITTEN = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "s3cret", KEY, TOKEN, quote(TOKEN, safe=""), VIEWER)

SIDE = 30_000
"""Of pictures that are no larger than their header in a file, and 2.7 GB as pixels."""

IMPATIENT = """
import keepbusy.serve.http.protocols as protocols
from keepbusy.__main__ import main

protocols.REQUEST_S = protocols.STALL_S = 1.0
main()
"""


class Lures(BaseHTTPRequestHandler):
    """A server that a configuration allows, and that leads on to what it does not."""

    video: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/secret"):
            self.send_error(403)
            return
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", f"file://{self.video}")
            self.end_headers()
            return
        inner = self.path.rpartition("?")[2]
        content = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{inner}{self.video}\n#EXT-X-ENDLIST\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def lures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `Lures`."""
    Lures.video = tmp_path_factory.mktemp("lures") / "hidden.ts"
    Lures.asked = []
    write_video(Lures.video, num_frames=30)
    with ThreadingHTTPServer(("127.0.0.1", 0), Lures) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, lures: str) -> Iterator[Server]:
    """One stream, tokens, and one place that clients may have streams of."""
    folder = tmp_path_factory.mktemp("server")
    config = {
        "streams": [{"name": "one", "source": "synth:street?size=640x360&fps=5"}],
        "server": {"token": TOKEN, "viewer_token": VIEWER, "allow_sources": [f"{lures}/", "synth:", str(folder)]},
        "limits": {"requests_per_s": 1000, "upload_bytes": 1 << 20},
    }
    with serving(config, folder) as one:
        soon(lambda: one.ask("/api/streams/one/latest", **ADMIN).status == 200)
        yield one


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for one second where it usually waits for twenty or thirty."""
    config = {
        "streams": [{"name": "one", "source": "synth:street?size=1280x720&fps=5"}],
        "limits": {"requests_per_s": 10_000, "request_timeout_s": 1.0},
    }
    with serving(config, tmp_path_factory.mktemp("impatient"), program=("-c", IMPATIENT)) as one:
        soon(lambda: one.ask("/api/streams/one/latest").status == 200)
        yield one


def told(server: Server, request: str, *lines: str, host: str = "") -> bytes:
    """What is answered to a request of exactly these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        head = [f"{request} HTTP/1.1", f"Host: {host or server.host}", *lines, "Connection: close", "", ""]
        client.sendall("\r\n".join(head).encode("latin-1"))
        parts = []
        with contextlib.suppress(OSError):
            while part := client.recv(65536):
                parts.append(part)
        return b"".join(parts)


def operations(server: Server) -> list[tuple[str, str]]:
    """Every method and path that the description of the API has."""
    paths = server.ask("/openapi.json", **ADMIN).json["paths"]
    found = []
    for path, methods in paths.items():
        there = path.replace("{name}", "one").replace("{model}", "street-yolov5n")
        found += [(method.upper(), there) for method in methods]
    return found


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {quote(TOKEN, safe='')}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer \xff\xfe"},
        {"x_api_key": TOKEN},
        {"cookie": f"keepbusy={TOKEN}"},
        {"cookie": f"keepbusy={'0' * 64}"},
    ],
)
def test_nobody_gets_in_without_the_token_as_it_is(server: Server, given: dict[str, str]) -> None:
    is_open = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    for method, path in operations(server):
        if path not in is_open:
            assert told(server, f"{method} {path}", *lines).startswith(b"HTTP/1.1 401"), (method, path)
    for query in (f"?token={quote(TOKEN, safe='')}", f"?access_token={quote(TOKEN, safe='')}"):
        assert told(server, f"GET /api/streams{query}", *lines).startswith(b"HTTP/1.1 401")
    for path in ("/api/live", "/api/events/ws"):
        with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{server.host}{path}", additional_headers=[]):
            pass


def test_a_viewer_changes_nothing(server: Server) -> None:
    viewer = f"Authorization: Bearer {VIEWER}"
    before = server.ask("/api/streams", **ADMIN).json
    changing = [one for one in operations(server) if one[0] not in ("GET", "HEAD") and "index" not in one[1]]
    assert len(changing) >= 5
    for method, path in [
        *changing,
        ("PUT", "/api/streams/one"),
        ("POST", "/v2/repository/models/street-yolov5n/unload"),
        ("POST", "/v2/models/street-yolov5n/versions/1/infer"),
        ("DELETE", "/api//streams/one"),
        ("DELETE", "/api/streams/%6fne"),
    ]:
        answer = told(server, f"{method} {path}", viewer, "Content-Length: 2", "X-HTTP-Method-Override: GET")
        assert answer.startswith(b"HTTP/1.1 403"), (method, path, answer)
    assert told(server, "GET /api/streams/one", viewer, "X-HTTP-Method-Override: DELETE").startswith(b"HTTP/1.1 200")
    with connect(f"ws://{server.host}/api/live", additional_headers={"authorization": f"Bearer {VIEWER}"}) as client:
        client.send('{"type": "change", "conf": 0.9}')
        for text in (
            '{"type": "view", "tiles": {"one": 1e999}}',
            '{"type": "view", "tiles": [7]}',
            "[" * 10_000,
            "7",
            "\0",
        ):
            client.send(text)
        assert '"role":"viewer"' in str(client.recv(20))
    after = server.ask("/api/streams", **ADMIN).json
    assert [one["name"] for one in after] == ["one"] and after[0]["thresholds"] == before[0]["thresholds"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example", "http://[", ""]
)
def test_pages_of_other_servers_get_nothing(server: Server, origin: str) -> None:
    for path in ("/api/live", "/api/events/ws"):
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(f"ws://{server.host}{path}", origin=Origin(origin), additional_headers=ADMIN),
        ):
            pass
    assert server.ask("/api/streams/one", "PATCH", {}, origin=origin, **ADMIN).status == 403
    assert "access-control-allow-origin" not in server.ask("/api/streams", origin=origin, **ADMIN).headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "[::ffff:8.8.8.8]",
        "[",
        "[::1",
        "a]b",
        "@",
        "",
        "a b",
    ],
)
def test_names_that_lead_here_by_a_trick_are_refused(server: Server, host: str) -> None:
    bearer = f"Authorization: Bearer {TOKEN}"
    answer = told(server, "GET /api/streams", bearer, host=host or " ")
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), answer
    answer = told(server, f"GET http://{server.host}/api/streams", bearer, host="evil.example")
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400", b"HTTP/1.1 404")), answer


@pytest.mark.parametrize(
    "source",
    [
        "file:/etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "../../../../etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://0x7f000001/",
        "http://2130706433/",
        "https://127.0.0.1/",
        "rtsp://10.0.0.1/stream",
        "rtsps://localhost/",
        "concat:/etc/passwd|/etc/hosts",
        "concat:{lure}/x|/etc/passwd",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "subfile,,start,0,end,9,,:{lure}/x",
        "async:{lure}/x",
        "cache:{lure}/x",
        "crypto:{lure}/x",
        "crypto+{lure}/x",
        "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
        "pipe:0",
        "fd:0",
        "-",
        "0",
        "/dev/video0",
        "tcp://127.0.0.1:22",
        "udp://127.0.0.1:9",
        "unix:/run/docker.sock",
        "gopher://127.0.0.1:6379/_INFO",
        "ftp://127.0.0.1/",
        "sftp://127.0.0.1/",
        "smb://127.0.0.1/c",
        "rtmp://127.0.0.1/live",
        "tee:/tmp/x|/tmp/y",
        "lavfi:testsrc",
        "{lure}",
        "{lure}:80/",
        "{lure}@169.254.169.254/",
        "{lure}/../x",
        "{lure}/%2e%2e/x",
        "{lure}/a\r\nHost: evil",
        "{lure}/\\..\\x",
        "http://user@evil.example#{lure}/",
        "file:///etc/passwd?realtime",
        "{folder}/../wall.yaml",
        "{folder}/a\0b.jsonl",
        "{lure}/a\0b",
        "synth:street?size=99999x99999",
    ],
)
def test_no_stream_of_a_client_leads_elsewhere(server: Server, lures: str, tmp_path: Path, source: str) -> None:
    source = source.replace("{lure}", lures).replace("{folder}", str(tmp_path))
    if source == lures:
        source = lures.rpartition(":")[0] + ":1/"
    answer = server.ask("/api/streams", "POST", {"name": "x", "source": source}, **ADMIN)
    assert answer.status in (403, 422), answer.json
    assert server.ask("/api/streams/one", "PATCH", {"source": source}, **ADMIN).status in (403, 422)
    assert server.ask("/api/streams/x", **ADMIN).status == 404


def test_it_is_told_that_a_file_is_missing_where_clients_may_have_files_and_nowhere_else(server: Server) -> None:
    missing, away = Path("none.mp4"), "/etc/none.mp4"  # The first is below the server's own folder, which is allowed.
    for source, status, told in (
        (str(missing), 422, "source: there is no such file"),
        (f"{missing}?realtime", 422, "source: there is no such file"),
        (away, 403, "source: is not one that clients may have opened"),
        ("../none.mp4", 403, "source: is not one that clients may have opened"),
        ("none\0.mp4", 422, "source: has a NUL character in it"),
        ("/etc/passwd", 403, "source: is not one that clients may have opened"),
    ):
        answer = server.ask("/api/streams", "POST", {"name": "x", "source": source}, **ADMIN)
        assert (answer.status, answer.json["error"]) == (status, told)
        answer = server.ask("/api/streams/one", "PATCH", {"source": source}, **ADMIN)
        assert (answer.status, answer.json["error"]) == (status, told)


@pytest.mark.parametrize(
    "path", ["/list.m3u8?file://", "/list.m3u8?", "/list.m3u8?subfile,,start,0,end,0,,:", "/away.ts"]
)
def test_an_allowed_server_cannot_lead_on_to_files(server: Server, lures: str, path: str) -> None:
    stream = {"name": "lured", "source": lures + path, "retry": None}
    assert server.ask("/api/streams", "POST", stream, **ADMIN).status == 201
    try:
        soon(lambda: server.ask("/api/streams/lured", **ADMIN).json["state"] in ("failed", "ended"))
        report = server.ask("/api/streams/lured", **ADMIN).json
        assert report["totals"]["results"] == report["totals"]["errors"] and report["error"], report
        assert any(one.startswith(path.partition("?")[0]) for one in Lures.asked)
    finally:
        assert server.ask("/api/streams/lured", "DELETE", **ADMIN).status == 204


def png_head() -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def jpeg_head() -> bytes:
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(jpeg)


def webp_head() -> bytes:
    black = np.zeros((16, 16, 3), np.uint8)
    webp = bytearray(cv2.imencode(".webp", black, [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes())
    assert webp[12:16] == b"VP8 "
    webp[26:30] = struct.pack("<HH", 16_383, 16_383)  # The most that the format has.
    return bytes(webp)


def heif_head() -> bytes:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    sizes = box(b"ispe", bytes(4) + struct.pack(">II", SIDE, SIDE))
    properties = box(b"iprp", box(b"ipco", sizes) + box(b"ipma", bytes(4) + struct.pack(">IHBB", 1, 1, 1, 0x81)))
    entry = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + b"hvc1\0")
    parts = box(b"pitm", bytes(4) + struct.pack(">H", 1)) + box(b"iinf", bytes(4) + struct.pack(">H", 1) + entry)
    return box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + box(b"meta", bytes(4) + parts + properties)


def gif_head() -> bytes:
    return b"GIF89a" + struct.pack("<HH", SIDE, SIDE) + bytes(20)


@pytest.mark.parametrize("made", [png_head, jpeg_head, webp_head, heif_head, gif_head])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    server: Server, made: Callable[[], bytes]
) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    answer = server.ask("/api/detect", "POST", made(), **ADMIN)
    assert answer.status in (413, 422), answer.body
    assert answer.status == 413 or made is heif_head, answer.body
    assert process.memory_info().rss - before < 100 << 20
    assert server.ask("/api/detect", "POST", made()[:-7], **ADMIN).status in (413, 422)


def test_nothing_is_put_into_headers(server: Server) -> None:
    for path in (
        "/page/%0d%0aX-Evil:%20yes",
        "/api/streams/%0d%0aX-Evil:%20yes",
        "/api/streams/one/snapshot.jpg?width=16%0d%0aX-Evil:%20yes",
        "/api/events?kinds=result%0d%0aX-Evil:%20yes",
        "/%0d%0aX-Evil:%20yes",
    ):
        head = told(server, f"GET {path}", f"Authorization: Bearer {TOKEN}").partition(b"\r\n\r\n")[0]
        assert b"x-evil" not in head.lower().replace(b"%0d%0ax-evil", b""), head
    for name in ("a\r\nX-Evil: yes", "a\nb", "a\x00b", "..", "a/../b", "\x7f"):
        answer = server.ask("/api/streams", "POST", {"name": name, "source": "synth:street?size=64x64"}, **ADMIN)
        if answer.status == 201:  # `..` is a name like others, and no address of anything else.
            assert server.ask(f"/api/streams/{quote(name, safe='')}", "DELETE", **ADMIN).status == 204
            assert name == ".."
        else:
            assert answer.status == 422, name
    # Two lengths, or a length and chunks, are what smugglers send.
    for lines in (
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: -1",),
        ("Transfer-Encoding: chunked, identity",),
        ("X-A: 1\x00",),
        ("X A: 1",),
    ):
        assert told(server, "POST /api/detect", *lines).startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), lines


def test_nothing_beside_the_page_is_served(server: Server) -> None:
    for path in (
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page/%2e%2e%2fapp.py",
        "/page/..%5capp.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/index.html%00.js",
        "/page/",
        "/page",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/page/main.js/../../app.py",
        "/wall.yaml",
        "/docs",
        "/redoc",
        "/.git/config",
    ):
        answer = told(server, f"GET {path}", f"Authorization: Bearer {TOKEN}")
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 307")), (path, answer[:200])
        assert b"root:" not in answer and b"import" not in answer


def test_secrets_are_told_nowhere(server: Server, lures: str) -> None:
    login = f"admin:{quote(PASSWORD, safe='')}@"
    address = lures.replace("http://", f"http://{login}") + f"/secret.mjpg?key={KEY}"
    refused = [
        {"name": "cam", "source": address, "weight": "much"},
        {"name": "cam", "source": address, "nonsense": address},
        {"name": address, "source": address},
        {"name": "cam", "source": address.replace("/secret", "/../secret")},
        {"name": "cam", "source": address, "sinks": [address]},
        {"name": "cam", "source": f"rtsp://{login}evil.example/?key={KEY}"},
        {"name": "cam", "source": [address]},
    ]
    shown = [server.ask("/api/streams", "POST", one, **ADMIN) for one in refused]
    assert all(one.status in (403, 422) for one in shown), [one.json for one in shown]
    assert server.ask("/api/streams", "POST", {"name": "cam", "source": address}, **ADMIN).status == 201
    soon(lambda: server.ask("/api/streams/cam", **ADMIN).json["error"] != "")
    shown += [server.ask("/api/streams/cam", "PATCH", {"stall_s": -1}, **ADMIN)]
    shown += [server.ask("/api/login", "POST", (TOKEN + "x").encode())]
    shown += [server.ask(f"/api/streams/{quote(address, safe='')}", **ADMIN)]
    shown += [server.ask(f"/api/events?kinds={quote(address, safe='')}", **ADMIN)]
    paths = ["/", "/metrics", "/openapi.json", "/api/engine", "/api/server", "/api/streams", "/api/streams/cam"]
    shown += [server.ask(path, **ADMIN) for path in paths]
    text = "".join(one.body.decode("utf-8", "replace") + str(one.headers) for one in shown) + server.text
    with connect(f"ws://{server.host}/api/live", additional_headers=ADMIN) as client:
        text += str(client.recv(20)) + str(client.recv(20))
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        client.sendall(
            f"GET /api/events HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Last-Event-ID: 0\r\n\r\n".encode()
        )
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while part := client.recv(65536):
                text += part.decode()
    assert server.ask("/api/streams/cam", "DELETE", **ADMIN).status == 204
    for secret in WRITTEN:
        assert secret not in text, re.findall(f".*{re.escape(secret)}.*", text)[:3]
    assert "admin:***@" in text


def closed_after_s(client: socket.socket, drip: bytes = b"", most_s: float = 15) -> float:
    """Seconds until the server closes a connection, while a byte is sent now and then."""
    begin_s = time.monotonic()
    client.settimeout(0.2)
    position = 0
    while time.monotonic() - begin_s < most_s:
        try:
            if position < len(drip):
                client.sendall(drip[position : position + 1])
                position += 1
            if not client.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begin_s


def test_a_request_that_drips_in_is_cut_off(impatient: Server) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: {impatient.host}\r\n".encode()
    drip = b"X-Slow: " + b"a" * 1000
    address = ("127.0.0.1", impatient.port)
    with socket.create_connection(address, 20) as client:
        client.sendall(head)
        assert closed_after_s(client, drip) < 8
    with socket.create_connection(address, 20) as client:
        assert closed_after_s(client) < 8, "a connection without a request stays"
    with socket.create_connection(address, 20) as client:
        client.sendall(head + b"\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        client.sendall(head)
        assert closed_after_s(client, drip) < 8, "the second request of a connection may take for ever"
    with socket.create_connection(address, 20) as client:
        client.sendall(head + b"Content-Length: 1000000\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        assert closed_after_s(client, drip) < 8, "a body that nobody reads may take for ever"
    with socket.create_connection(address, 20) as client:
        client.sendall(head.replace(b"GET /healthz", b"POST /api/detect") + b"Content-Length: 1000000\r\n\r\n")
        client.settimeout(15)
        assert client.recv(12) == b"HTTP/1.1 408"
        assert closed_after_s(client, drip) < 8


@pytest.mark.parametrize("path", ["/api/events?kinds=result", "/api/streams/one/snapshot.jpg", "/page/uPlot.js"])
def test_who_never_reads_is_cut_off_and_costs_little(impatient: Server, path: str) -> None:
    process = psutil.Process(impatient.process.pid)
    before = process.memory_info().rss
    with contextlib.ExitStack() as clients:
        all_clients = []
        for _ in range(8):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", impatient.port))
            request = f"GET {path} HTTP/1.1\r\nHost: {impatient.host}\r\n\r\n".encode()
            client.sendall(request * (1 if "events" in path else 100))
            all_clients.append(client)
        ports = {client.getsockname()[1] for client in all_clients}

        def num_open() -> int:
            there = [one for one in process.net_connections("tcp") if one.raddr and one.status == "ESTABLISHED"]
            return sum(one.raddr.port in ports for one in there)

        if "events" not in path:  # Small events fit into the buffers of both ends for long.
            soon(lambda: num_open() == 0, "they are still connected")
        assert impatient.ask("/healthz").status == 200
        assert process.memory_info().rss - before < 80 << 20
