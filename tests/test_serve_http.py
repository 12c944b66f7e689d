"""The HTTP API, KServe v2, health, metrics and security, over real sockets."""

from __future__ import annotations

import base64
import concurrent.futures
import gzip
import json
import math
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keepbusy.serve.configuration.load import SettingsError, parse_settings
from keepbusy.sources.open import open_source
from tests.api_fuzz import Tally, operations_of, schema_of, try_operation
from tests.served import Server, serving, soon

TOKEN, VIEWER = "admin-token-0123456789", "viewer-token-0123456789"

STREET = "synth:street?seed=3&size=640x360&fps=5"


@pytest.fixture(scope="module")
def street() -> bytes:
    """An encoded picture with people and cars in it."""
    frame = open_source(STREET).read()
    assert frame is not None and frame.image is not None
    return bytes(cv2.imencode(".jpg", frame.image)[1].tobytes())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two streams, no token."""
    config = {
        "streams": [
            {"name": "one", "source": STREET},
            {"name": "two", "source": "synth:street?seed=4&size=320x180&fps=5"},
        ],
        "limits": {"upload_bytes": 1 << 20, "picture_pixels": 4_000_000, "requests_per_s": 2000},
        "server": {"allow_sources": ["synth:", "rtsp://127.0.0.1:1/cameras/"]},
    }
    with serving(config, tmp_path_factory.mktemp("server")) as one:
        one.wait_until_ready(2)
        yield one


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One stream, with tokens."""
    config = {
        "streams": [{"name": "one", "source": "synth:street?size=64x64&fps=5"}],
        "server": {"token": TOKEN, "viewer_token": VIEWER},
        "limits": {"requests_per_s": 1000},
    }
    with serving(config, tmp_path_factory.mktemp("locked")) as one:
        bearer = f"Bearer {TOKEN}"
        soon(lambda: one.ask("/api/streams/one/snapshot.jpg", authorization=bearer).status == 200)
        yield one


def size_of(jpeg: bytes) -> tuple[int, int]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.shape[1], image.shape[0]


def test_a_picture_is_detected(server: Server, street: bytes) -> None:
    found = server.ask("/api/detect", "POST", street).json
    assert (found["width"], found["height"]) == (640, 360) and len(found["detections"]) > 3
    some = server.ask("/api/detect?conf=0.6&max_det=2&classes=person", "POST", street).json["detections"]
    best = [one for one in found["detections"] if one["confidence"] >= 0.6 and one["name"] == "person"]
    assert some == best[:2]
    again = server.ask("/api/detect", "POST", gzip.compress(street), content_encoding="gzip").json
    assert again == found


@pytest.mark.parametrize(
    ("query", "body", "headers", "status", "told"),
    [
        ("", b"no picture", {}, 422, "is not a picture"),
        ("", b"", {}, 422, "is empty"),
        ("?conf=4", b"x", {}, 422, "conf: must be 1 or less, and is 4"),
        ("?max_det=2.5", b"x", {}, 422, "max_det: must be a whole number, and is 2.5"),
        ("?max_det=0", b"x", {}, 422, "max_det: must be 1 or more, and is 0"),
        ("?conf=0.1", None, {}, 422, "conf: 0.1 is below 0.25"),
        ("?classes=unicorn", None, {}, 422, "no class 'unicorn'"),
        ("", b"x", {"content_encoding": "br"}, 415, "encoding 'br'"),
        ("", b"no such thing", {"content_encoding": "gzip"}, 400, "no gzip"),
        ("", gzip.compress(bytes(5 << 20), mtime=0), {"content_encoding": "gzip"}, 413, "more than 1 MiB"),
        ("", zlib.compress(bytes(5 << 20)), {"content_encoding": "deflate"}, 413, "more than 1 MiB"),
        ("", gzip.compress(b"abc", mtime=0)[:-9], {"content_encoding": "gzip"}, 400, "ends too early"),
        ("", b"x", {"content_type": "multipart/form-data"}, 415, "a form is not read"),
    ],
)
def test_what_is_no_good_picture_is_refused(
    server: Server, street: bytes, query: str, body: bytes | None, headers: dict[str, str], status: int, told: str
) -> None:
    answer = server.ask(f"/api/detect{query}", "POST", street if body is None else body, **headers)
    assert answer.status == status and told in answer.json["error"]


def test_a_truncated_jpeg_and_bombs_are_refused(server: Server, street: bytes) -> None:
    assert server.ask("/api/detect", "POST", street[: len(street) // 2]).status == 422
    bomb = cv2.imencode(".png", np.zeros((4000, 4000), np.uint8))[1].tobytes()
    assert len(bomb) < 1 << 20
    answer = server.ask("/api/detect", "POST", bomb)
    assert answer.status == 413 and "16,000,000" in answer.json["error"]


def test_a_body_of_a_gigabyte_is_not_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        head = f"POST /api/detect HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {1 << 30}\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 413")
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        head = f"POST /api/detect HTTP/1.1\r\nHost: {server.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode())
        sent = 0
        try:
            while sent < 1 << 30:
                client.sendall(b"40000\r\n" + bytes(0x40000) + b"\r\n")
                sent += 0x40000
        except OSError:
            pass
        assert sent < 64 << 20
    assert server.ask("/healthz").status == 200


def test_streams_are_listed_and_shown(server: Server) -> None:
    streams = server.ask("/api/streams").json
    assert [one["name"] for one in streams] == ["one", "two"] and streams[0]["state"] == "running"
    for _ in range(20):
        totals = server.ask("/api/streams/one").json["totals"]
        assert totals["arrived"] == totals["results"] + sum(totals["dropped"].values()) + totals["in_flight"]
    latest = server.ask("/api/streams/one/latest").json
    assert latest["stream"] == "one" and latest["age_ms"] < 30_000 and "detections" in latest
    shot = server.ask("/api/streams/one/snapshot.jpg?width=320")
    assert size_of(shot.body) == (320, 180) and int(shot.headers["x-age-ms"]) >= 0
    assert server.ask("/api/streams/none").status == 404
    assert server.ask("/api/engine").json["device"]["device"] == "CPU"


def test_a_stream_is_added_changed_and_removed(server: Server) -> None:
    stream = {"name": "new", "source": "synth:street?size=64x64&fps=5"}
    added = server.ask("/api/streams", "POST", stream)
    assert added.status == 201 and added.json["origin"] == "api"
    assert server.ask("/api/streams", "POST", stream).status == 409
    soon(lambda: server.ask("/api/streams/new").json["totals"]["results"] > 0)
    before = server.ask("/api/streams/new").json["totals"]["arrived"]
    changed = server.ask("/api/streams/new", "PATCH", {"conf": 0.9})
    assert changed.json["thresholds"] == {"conf": 0.9} and changed.json["totals"]["arrived"] >= before
    assert server.ask("/api/streams/new", "PATCH", {"conf": 9}).json["error"] == "conf: must be 1 or less, and is 9"
    answer = server.ask("/api/streams/new", "PATCH", {"region": [[0, 0], [640, 360]]})
    assert answer.status == 422 and "shares of the frame, 0 to 1" in answer.json["hint"]
    assert server.ask("/api/streams/new", "PATCH", {"classes": ["unicorn"]}).status == 422
    assert server.ask("/api/streams/new", "DELETE").status == 204
    assert server.ask("/api/streams/new").status == 404


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        ({"name": "x", "source": "/etc/passwd"}, 403),
        ({"name": "x", "source": "file:///etc/passwd"}, 403),
        ({"name": "x", "source": "http://169.254.169.254/latest/meta-data"}, 403),
        ({"name": "x", "source": "rtsp://127.0.0.1:1/other"}, 403),
        ({"name": "x", "source": "rtsp://127.0.0.1:1/cameras/../other"}, 403),
        ({"name": "x", "source": "rtsp://127.0.0.1:1/cameras/%2e%2e/other"}, 403),
        ({"name": "x", "source": "rtsp://evil@127.0.0.1:2/cameras/"}, 403),
        ({"name": "x", "source": "synth:street", "sinks": ["/tmp/out.jsonl"]}, 403),
        ({"name": "x", "source": "0"}, 403),
        ({"name": "x", "source": "-"}, 403),
        ({"source": "synth:street"}, 422),
        ({"name": "a/b", "source": "synth:street"}, 422),
        ([1], 422),
    ],
)
def test_clients_have_nothing_opened_that_is_not_allowed(server: Server, stream: Any, status: int) -> None:
    answer = server.ask("/api/streams", "POST", stream)
    assert answer.status == status, answer.json
    assert server.ask("/api/streams/two", "PATCH", {"source": "/etc/passwd"}).status == 403
    assert server.ask("/api/streams/two", "PATCH", {"sinks": ["/tmp/x.jsonl"]}).status == 403


def test_a_password_is_shown_nowhere(server: Server) -> None:
    stream = {"name": "cam", "source": "rtsp://admin:geh%40eim-7@127.0.0.1:1/cameras/1?token=hush-hush"}
    assert server.ask("/api/streams", "POST", stream).status == 201
    soon(lambda: server.ask("/api/streams/cam").json["error"] != "")
    pages = ["/api/streams", "/api/streams/cam", "/metrics", "/openapi.json", "/api/engine", "/api/server"]
    shown = "".join(server.ask(page).body.decode() for page in pages) + server.text
    for secret in ("geh%40eim-7", "geh@eim-7", "hush-hush"):
        assert secret not in shown
    assert "rtsp://admin:***@127.0.0.1:1/cameras/1?token=***" in shown
    assert server.ask("/api/streams/cam", "DELETE").status == 204
    with events(server, "GET /api/events?kinds=stream,state", last_event_id="0") as found:
        assert "hush-hush" not in found and "geh" not in found


class events:  # noqa: N801 - reads like a function
    """The first events of a request that never ends."""

    def __init__(self, server: Server, request: str, **headers: str) -> None:
        self._client = socket.create_connection(("127.0.0.1", server.port), 20)
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._client.sendall("\r\n".join([f"{request} HTTP/1.1", f"Host: {server.host}", *lines, "", ""]).encode())

    def __enter__(self) -> str:
        found = b""
        while b"data: " not in found:
            part = self._client.recv(65536)
            assert part, found
            found += part
        return found.decode()

    def __exit__(self, *_: object) -> None:
        self._client.close()


def test_events_come_as_they_happen(server: Server) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://{server.host}/api/events/ws?kinds=stream") as client:
        server.ask("/api/streams", "POST", {"name": "ev", "source": "synth:street?size=64x64"})
        assert json.loads(client.recv(20))["text"].startswith("added")
        server.ask("/api/streams/ev", "DELETE")
        assert json.loads(client.recv(20))["text"] == "removed"
    with connect(f"ws://{server.host}/api/events/ws?kinds=result") as client:
        event = json.loads(client.recv(20))
        assert event["kind"] == "result" and event["record"]["stream"] == event["stream"]
    with events(server, "GET /api/events?kinds=result") as found:
        assert "event: result" in found and "text/event-stream" in found
    answer = server.ask("/api/events?kinds=overload,foo,bar")
    assert answer.status == 422 and answer.json["error"].startswith(
        "kinds: there is no 'bar', 'foo': they are stream, "
    )
    assert "overload" in answer.json["error"].partition("they are")[2]


def test_metrics_are_prometheus_and_their_balance_is_exact(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    text = server.ask("/metrics").body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {
        (one.name, *sorted(one.labels.items())): one.value for family in families.values() for one in family.samples
    }
    for stream in ("one", "two"):
        key = ("stream", stream)
        dropped = sum(
            value for name, value in values.items() if name[0] == "keepbusy_stream_dropped_frames_total" and key in name
        )
        results, in_flight = (
            values[f"keepbusy_stream_{name}", key] for name in ("results_frames_total", "in_flight_frames")
        )
        assert values["keepbusy_stream_arrived_frames_total", key] == results + dropped + in_flight
        assert values["keepbusy_stream_state", ("state", "running"), key] == 1
    assert all(len(family.documentation) > 15 for family in families.values())
    assert all(re.fullmatch(r"keepbusy_[a-z0-9_]+", name) for name in families)
    (info,) = families["keepbusy_device_info"].samples
    assert info.labels["wanted"] == info.labels["device"] == "CPU" and info.labels["name"]
    assert {one.labels["wanted"] for one in families["keepbusy_stream_info"].samples} == {"auto"}
    decoders = {one.labels["stream"]: one.labels["decoder"] for one in families["keepbusy_stream_info"].samples}
    told = {one["name"]: one["decoder"] or "" for one in server.ask("/api/streams").json}
    assert {name: decoders[name] for name in ("one", "two")} == {name: told[name] for name in ("one", "two")}
    assert families["keepbusy_stream_age_seconds"].type == "histogram"


def test_the_page_and_the_answers_are_safe(server: Server) -> None:
    answer = server.ask("/")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers
    for path in ("/page/..%2Fapp.py", "/page/../app.py", "/page/app.py", "/page/%2e%2e/settings.py", "/docs"):
        assert server.ask(path).status == 404
    content = b"".join(server.ask(f"/page/{name}").body for name in ("main.js", "page.css")) + answer.body
    assert not re.search(rb"(src|href|from|import|url)\W{1,3}https?://", content), "another host is asked"


def test_other_names_and_pages_are_refused(server: Server) -> None:
    assert server.ask("/api/streams", host="evil.example").status == 421
    assert server.ask("/api/streams", host="localhost").status == 200
    assert server.ask("/api/streams/one", "PATCH", {}, origin="https://evil.example").status == 403
    assert server.ask("/api/streams/one", "PATCH", {}, origin=server.address).status == 200
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin

    origin = Origin("https://evil.example")
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{server.host}/api/live", origin=origin):
        pass


def test_tokens_allow_what_they_should(locked: Server) -> None:
    assert locked.ask("/healthz").status == locked.ask("/").status == 200
    for path in (
        "/api/streams",
        "/metrics",
        "/openapi.json",
        "/v2/models/street-yolov5n",
        "/api/streams/one/snapshot.jpg",
    ):
        assert locked.ask(path).status == 401
        assert locked.ask(path, authorization=f"Bearer {TOKEN[:-1]}").status == 401
        assert locked.ask(path, authorization=f"Bearer {VIEWER}").status == 200
    viewer, admin = f"Bearer {VIEWER}", f"Bearer {TOKEN}"
    assert locked.ask("/api/streams/one", "PATCH", {"conf": 0.5}, authorization=viewer).status == 403
    assert locked.ask("/api/detect", "POST", b"x", authorization=viewer).status == 403
    assert locked.ask("/api/streams/one", "PATCH", {"conf": 0.5}, authorization=admin).status == 200
    assert locked.ask("/v2/repository/index", "POST", {}, authorization=viewer).status == 200
    assert locked.ask("/api/login", "POST", b"wrong").status == 401
    cookie = locked.ask("/api/login", "POST", TOKEN.encode()).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert locked.ask("/api/streams", cookie=cookie.split(";")[0]).status == 200
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus), connect(f"ws://{locked.host}/api/live"):
        pass
    with connect(f"ws://{locked.host}/api/live", additional_headers={"cookie": cookie.split(";")[0]}) as client:
        assert json.loads(client.recv(20))["role"] == "admin"
    assert TOKEN not in locked.text and VIEWER not in locked.text


def test_a_client_that_asks_too_often_is_refused(tmp_path: Path) -> None:
    with serving({"limits": {"requests_per_s": 5}}, tmp_path) as server:
        statuses = [server.ask("/api/streams").status for _ in range(30)]
        assert statuses.count(429) > 10 and statuses[0] == 200
        assert server.ask("/healthz").status == 200


def test_two_hundred_connections_are_answered(server: Server, street: bytes) -> None:
    clients = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(200)]
    try:
        for client in clients:
            client.sendall(f"GET /api/streams HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
    finally:
        for client in clients:
            client.close()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: server.ask("/api/detect", "POST", street), range(64)))
    assert {answer.status for answer in answers} <= {200, 503}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1


def test_kserve_clients_work_unchanged(server: Server, street: bytes) -> None:
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    name = "street-yolov5n"
    small = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    expected = server.ask("/api/detect", "POST", street).json["detections"]
    with triton.InferenceServerClient(server.host) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
        assert client.is_model_ready(name, "1") and not client.is_model_ready("other")
        assert client.get_server_metadata()["name"] == "keepbusy"
        metadata = client.get_model_metadata(name)
        assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        assert client.get_model_config(name)["input"][0]["data_type"] == "TYPE_STRING"
        assert client.get_model_repository_index()[0]["state"] == "READY"
        given = triton.InferInput("image", [2], "BYTES")
        given.set_data_from_numpy(np.array([street, small], dtype=object))
        result = client.infer(name, [given])
        count = len(expected)
        assert result.as_numpy("num_detections").tolist() == [count, 0]
        assert result.as_numpy("boxes").shape == (2, count, 4)
        np.testing.assert_allclose(result.as_numpy("boxes")[0], [one["box_xyxy"] for one in expected], atol=0.1)
        assert [one.decode() for one in result.as_numpy("labels")[0]] == [one["name"] for one in expected]
        for kind in ("gzip", "deflate"):
            again = client.infer(name, [given], request_compression_algorithm=kind, response_compression_algorithm=kind)
            assert (again.as_numpy("scores") == result.as_numpy("scores")).all()
        wanted = [triton.InferRequestedOutput("scores", binary_data=False), triton.InferRequestedOutput("labels")]
        some = client.infer(name, [given], outputs=wanted, request_id="7", parameters={"conf": 0.6})
        assert some.get_response()["id"] == "7" and some.as_numpy("boxes") is None
        assert (some.as_numpy("scores")[0] >= 0.6).all()
        assert client.get_inference_statistics(name)["model_stats"][0]["inference_count"] >= 8
        for change in ({"shape": [3]}, {"datatype": "FP32"}):
            with pytest.raises(InferenceServerException):
                odd = triton.InferInput("image", change.get("shape", [2]), change.get("datatype", "BYTES"))
                odd._data, odd._raw_data, odd._parameters = None, given._raw_data, given._parameters
                client.infer(name, [odd])
        with pytest.raises(InferenceServerException, match="no model 'other'"):
            client.infer("other", [given])
        with pytest.raises(InferenceServerException, match="not a picture"):
            given.set_data_from_numpy(np.array([b"no", small], dtype=object))
            client.infer(name, [given])


@pytest.mark.parametrize(
    ("body", "header", "told"),
    [
        (b"{", None, "no JSON"),
        (b"[]", None, "no list of inputs"),
        (b'{"inputs": []}', None, "one input"),
        (b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [0]}]}', None, "its shape is"),
        (b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["@"]}]}', None, "no base64"),
        (b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [99999]}]}', None, "more than the 32"),
        (b"{}", "99", "the body has 2 bytes"),
        (b"{}", "-1", "the body has 2 bytes"),
        (
            b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":8}}]}'
            + struct.pack("<I", 1 << 31)
            + b"abcd",
            "96",
            "more than come",
        ),
    ],
)
def test_odd_requests_of_kserve_are_refused(server: Server, body: bytes, header: str | None, told: str) -> None:
    given = {} if header is None else {"inference_header_content_length": header}
    answer = server.ask("/v2/models/street-yolov5n/infer", "POST", body, **given)
    assert answer.status == 400 and told in answer.json["error"], answer.body


NINES = "9" * 400


def kserve(street: bytes, **more: str) -> bytes:
    """A good request with some more, each as JSON's text."""
    picture = base64.b64encode(street).decode()
    inputs = f'[{{"name":"image","datatype":"BYTES","shape":[1],"data":["{picture}"]}}]'
    return ("{" + ",".join(f'"{name}":{text}' for name, text in {"inputs": inputs, **more}.items()) + "}").encode()


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ({"id": r'"\ud800"'}, 400, r"half a character: \ud800"),
        ({"id": "7"}, 400, "id: must be a text"),
        ({"id": "null"}, 400, "id: must be a text"),
        ({"parameters": f'{{"max_det": {NINES}}}'}, 400, "308 digits"),
        ({"parameters": f'{{"max_det": {NINES * 20}}}'}, 400, "no JSON"),
        ({"parameters": '{"max_det": 1e999}'}, 400, "not finite"),
        ({"parameters": '{"conf": NaN}'}, 400, "not finite"),
        ({"parameters": '{"max_det": 2.5}'}, 400, "max_det: must be a whole number"),
        ({"parameters": '{"max_det": true}'}, 400, "max_det: must be a whole number"),
        ({"parameters": '{"conf": "0.5"}'}, 400, "conf: must be a number"),
        ({"parameters": '{"conf": 4}'}, 422, "conf: must be 1 or less, and is 4"),
        ({"parameters": '{"max_det": 0}'}, 422, "max_det: must be 1 or more, and is 0"),
        ({"parameters": '{"classes": {}}'}, 400, "classes: must be names or ids"),
        ({"parameters": '{"classes": [0.5]}'}, 400, "classes: must be names or ids"),
        ({"parameters": f'{{"classes": "{NINES * 20}"}}'}, 422, "no class"),
        ({"parameters": f'{{"classes": [-{NINES[:300]}]}}'}, 422, "out of range"),
        ({"parameters": '{"binary_data_output": 1}'}, 400, "binary_data_output: must be true or false"),
        ({"parameters": "[]"}, 400, "parameters is no JSON object"),
        ({"outputs": '[{"name": "boxes", "parameters": {"binary_data": "yes"}}]'}, 400, "must be true or false"),
        ({"outputs": r'[{"name": "\udfff"}]'}, 400, "half a character"),
    ],
)
def test_texts_and_numbers_of_kserve_clients_are_checked(
    server: Server, street: bytes, more: dict[str, str], status: int, told: str
) -> None:
    answer = server.ask("/v2/models/street-yolov5n/infer", "POST", kserve(street, **more))
    assert answer.status == status and told in answer.json["error"], answer.body


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (r'{"name": "x\ud800", "source": "synth:street"}', 400),
        (r'{"name": "x", "source": "synth:street", "\udfff": 1}', 400),
        (f'{{"name": "x", "source": "synth:street", "max_fps": {NINES}}}', 400),
        (f'{{"name": "x", "source": "synth:street", "max_det": {NINES[:300]}}}', 422),
        (f'{{"name": "x", "source": {NINES * 20}}}', 400),
        ('{"name": "x", "source": "synth:street", "region": [[Infinity, 0], [1, 1]]}', 400),
        ("[" * 5000, 400),
    ],
)
def test_texts_and_numbers_of_streams_are_checked(server: Server, stream: str, status: int) -> None:
    assert server.ask("/api/streams", "POST", stream.encode()).status == status
    assert server.ask("/api/streams/two", "PATCH", stream.encode()).status == status


@pytest.mark.parametrize("name", [".", "..", "a/b", "a\\b", "a\nb", "a\x85b", *"\u200b\u200f\u202e\u2066\ufeff"])
def test_names_that_no_address_can_have_or_nobody_can_see_are_refused(server: Server, name: str) -> None:
    answer = server.ask("/api/streams", "POST", {"name": name, "source": "synth:street"})
    assert answer.status == 422 and answer.json["error"].startswith("name: must have 1 to 64 characters")
    config = {"streams": [{"name": name, "source": "synth:street"}]}
    with pytest.raises(SettingsError, match="must have 1 to 64 characters"):
        parse_settings(json.dumps(config))


def test_names_may_have_dots_and_letters_of_all_languages() -> None:
    names = ["...", ".a", "v1.2", "前门", "Tür 2", "📷", "خانه"]
    config = {"streams": [{"name": name, "source": "synth:street"} for name in names]}
    assert [one.name for one in parse_settings(json.dumps(config, ensure_ascii=False)).streams] == names


def test_odd_numbers_of_queries_and_headers_are_checked(server: Server, street: bytes) -> None:
    many = NINES * 10
    for query in (f"conf={many}", f"max_det={many}", "conf=nan", "conf=1e999", f"classes={many}", "classes=%ED%A0%80"):
        assert server.ask(f"/api/detect?{query}", "POST", street).status == 422, query
    assert server.ask(f"/api/streams/one/snapshot.jpg?width={many}").status == 422
    for value in ("9" * 5000, "-1", "1_0", "\xb2", ""):
        answer = server.ask(
            "/v2/models/street-yolov5n/infer", "POST", kserve(street), inference_header_content_length=value
        )
        assert answer.status == 400 and "Inference-Header-Content-Length is" in answer.json["error"]
        assert len(answer.json["error"]) < 300
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        head = f"POST /api/detect HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {'9' * 5000}\r\n\r\n"
        client.sendall(head.encode())
        assert re.match(rb"HTTP/1.1 4\d\d", client.recv(1000))
    assert server.ask("/api/events?kinds=state", last_event_id=many).status in (400, 422, 431)
    assert "Traceback" not in server.text


def test_a_page_gets_pictures_with_the_boxes_of_their_own_frames(server: Server) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://{server.host}/api/live", max_size=None) as client:
        hello = json.loads(client.recv(20))
        assert hello["type"] == "hello" and "person" in hello["classes"]
        client.send(json.dumps({"type": "view", "tiles": {"one": 320, "two": 200}, "engine": True}))
        pictures: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
        states: list[Any] = []
        until_s = time.monotonic() + 60
        while (min(map(len, pictures.values())) < 4 or len(states) < 2) and time.monotonic() < until_s:
            message = client.recv(20)
            if isinstance(message, str):
                states.append(json.loads(message))
                continue
            (size,) = struct.unpack_from("<I", message)
            head = json.loads(message[4 : 4 + size])
            assert size_of(message[4 + size :])[0] == (320 if head["stream"] == "one" else 240)
            assert len(head["boxes"]) == len(head["scores"]) == len(head["classes"])
            pictures[head["stream"]].append(head)
            client.send(json.dumps({"type": "ack", "n": head["n"]}))
        for heads in pictures.values():
            indices = [head["index"] for head in heads]
            assert len(indices) >= 4 and indices == sorted(set(indices))
        assert {"streams", "engine", "timeline"} <= set(states[-1])


@pytest.mark.parametrize("view", [{"tiles": {}}, {"tiles": {}, "engine": True}])
def test_the_first_state_that_a_page_gets_is_of_now(server: Server, view: dict[str, Any]) -> None:
    from websockets.sync.client import connect

    def first_state() -> Any:
        with connect(f"ws://{server.host}/api/live", max_size=None) as client:
            client.send(json.dumps({"type": "view", **view}))
            assert json.loads(client.recv(20))["type"] == "hello"
            return json.loads(client.recv(20))

    first_state()
    assert server.ask("/api/streams", "POST", {"name": "short", "source": "synth:street?size=64x64"}).status == 201
    names = [one["name"] for one in first_state()["streams"]]
    assert names == [one["name"] for one in server.ask("/api/streams").json] and "short" in names
    assert server.ask("/api/streams/short", "DELETE").status == 204
    state = first_state()
    assert [one["name"] for one in state["streams"]] == [one["name"] for one in server.ask("/api/streams").json]
    assert state["type"] == "state" and state["engine"]["state"] == "running"


def test_a_client_that_never_reads_costs_nothing(server: Server) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://{server.host}/api/live", max_size=None, max_queue=1, close_timeout=0.1) as idle:
        idle.send(json.dumps({"type": "view", "tiles": {"one": 1920, "two": 1920}}))
        with connect(f"ws://{server.host}/api/live", max_size=None) as client:
            client.send(json.dumps({"type": "view", "tiles": {"one": 320}}))
            num_pictures = 0
            until_s = time.monotonic() + 60
            while num_pictures < 10 and time.monotonic() < until_s:
                if isinstance(client.recv(20), bytes):
                    num_pictures += 1
                    client.send(json.dumps({"type": "ack", "n": num_pictures}))
            assert num_pictures == 10


def test_the_api_keeps_to_its_own_description(server: Server) -> None:
    paths = schema_of(server).raw_schema["paths"]
    assert {"/api/detect", "/api/streams", "/v2/models/{model}/infer", "/metrics"} <= set(paths)
    assert "/api/login" not in paths


def test_odd_requests_are_answered_as_described(server: Server) -> None:
    """What the description allows, and what it does not: no answer is a mistake of the server."""
    for number, operation in enumerate(operations_of(schema_of(server))):
        tally = Tally(operation.label)
        try_operation(server, operation, tally, count=8, seed=number, until_s=math.inf)
        assert tally.findings == [] and tally.statuses
