"""What a server of models may answer: status, headers, lengths, pieces of the file, redirects, silence."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from keepbusy.models.store import ModelStore, find_model
from keepbusy.models.store.catalogue import KnownModel
from keepbusy.models.store.limits import Limits
from tests.fuzz.bytes_ import damage_bytes
from tests.graphs import onnx_model

CONTENT = onnx_model(20_000, seed=2)
LIMITS = Limits(timeout_s=0.3, max_bytes=100_000, max_s=5.0)
STATUS = (
    "200 OK",
    "200 OK",
    "200 OK",
    "206 Partial Content",
    "204 No Content",
    "302 Found",
    "416 No",
    "404 No",
    "099 X",
    "x",
)
LINES = (
    "Content-Length: {length}", "Content-Length: {length}", "Content-Length: -1", "Content-Length: 99999999999",
    "Content-Length: 5", "Transfer-Encoding: chunked", "Content-Encoding: gzip", "Content-Type: text/html",
    'ETag: "a"', 'ETag: "{random}"', 'ETag: W/"a"', "Last-Modified: now", "Content-Range: bytes 0-9/10",
    "Content-Range: bytes {start}-/x", "Content-Range: bytes {start}-{end}/{length}", "Location: http://[",
    "Location: /tiny.onnx", "Location: file:///etc/passwd", "X: " + "y" * 70_000, "no colon", "\x01: 2",
    "Connection: close",
)  # fmt: skip


class Answers:
    """An input is a script: a list of answers as JSON, which a real server gives one after the other."""

    def seeds(self, folder: Path) -> list[Path]:
        path = folder / "script.json"
        path.write_text("[]")
        return [path]

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        answers = []
        for _ in range(dice.choice((1, 1, 2, 4))):
            length = len(CONTENT)
            lines = [
                line.format(length=length, random=dice.random(), start=dice.choice((0, 5, 1000)), end=length - 1)
                for line in dice.sample(LINES, dice.choice((1, 2, 2, 3, 5)))
            ]
            body = dice.choice((CONTENT, CONTENT, CONTENT[: dice.randrange(length)], damage_bytes(CONTENT, dice), b""))
            answers.append({"head": [f"HTTP/1.1 {dice.choice(STATUS)}", *lines], "body": body.hex()})
        return json.dumps(answers).encode()

    def use(self, path: Path) -> str:
        script = json.loads(path.read_text())
        folder = path.with_suffix(".cache")
        known = KnownModel(
            name="tiny", family="Tiny", url="https://x.invalid/tiny.onnx", licence="MIT", licence_url="x"
        )
        try:
            with _serving(script) as address:
                found = find_model(
                    "tiny", store=ModelStore(folder, catalogue=(known,), base_url=address, limits=LIMITS)
                )
            assert found.read_bytes() in (CONTENT, *(bytes.fromhex(answer["body"]) for answer in script))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return "fetched"


@contextlib.contextmanager
def _serving(script: list[dict[str, list[str] | str]]) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    is_over = threading.Event()

    def serve() -> None:
        number = 0
        while not is_over.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with client, contextlib.suppress(OSError):
                client.settimeout(1)
                client.recv(65536)
                answer = script[min(number, len(script) - 1)]
                number += 1
                head = "\r\n".join(answer["head"]).encode("latin-1")
                client.sendall(head + b"\r\n\r\n" + bytes.fromhex(str(answer["body"])))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        is_over.set()
        thread.join()
        listener.close()
