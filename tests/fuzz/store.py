"""The model store against servers that say anything: what it takes is right, and a good server repairs what is left."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

from keepbusy.errors import KeepbusyError
from keepbusy.models.store import ModelStore, find_model
from keepbusy.models.store.catalogue import KnownModel
from tests.fuzz.mutate_bytes import mutated_bytes
from tests.fuzz.mutate_text import mutated_text
from tests.fuzz.scripted_server import Answer, scripted_server
from tests.fuzz.values import WORDS, number

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TIMEOUT_S = 0.3
_STATUS = (
    200,
    200,
    200,
    206,
    206,
    301,
    302,
    303,
    307,
    308,
    100,
    103,
    204,
    304,
    400,
    401,
    403,
    404,
    416,
    429,
    500,
    503,
    999,
)
_PLACES = (
    "/tiny.onnx",
    "/a",
    "http://127.0.0.1:{port}/b",
    "https://127.0.0.1:{port}/c",
    "ftp://127.0.0.1:{port}/d",
    "file:///d",
)
_TYPES = (
    "application/octet-stream",
    "text/html",
    "text/html; charset=utf-8",
    "application/json",
    "",
    "multipart/byteranges",
)


def create(seeds: Path) -> Store:
    """Make the kind."""
    return Store()


class Store:
    """See the module."""

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """See `Kind.make`."""
        script = [_answer(dice) for _ in range(dice.choice([1, 1, 2, 3, 5]))]
        is_pinned = dice.random() < 0.7
        written = [{"pieces": [repr(one) for one in answer.pieces], "ending": answer.ending} for answer in script]
        (folder / "script.json").write_text(json.dumps(written, indent=1))
        cache = scratch / "cache"
        if dice.random() < 0.3:
            _leave_part(dice, cache)

        def use() -> None:
            with scripted_server(CONTENT, script) as server:
                known = _known(is_pinned, f"http://127.0.0.1:{server.port}/tiny.onnx")
                base = f"http://127.0.0.1:{server.port}"
                store = ModelStore(cache, catalogue=(known,), base_url=base, timeout_s=TIMEOUT_S)
                try:
                    path = find_model("tiny", store=store)
                    if is_pinned:
                        assert path.read_bytes() == CONTENT, "a wrong file was taken"
                    assert server.num_requests < 60, server.num_requests
                except KeepbusyError:
                    assert not (cache / "tiny.onnx").exists(), "refused, and the file is there"
                    server.script.clear()
                    assert not is_pinned or find_model("tiny", store=store).read_bytes() == CONTENT
                    raise
                left = {one.name for one in cache.iterdir()} - {"tiny.onnx", "tiny.onnx.lock", "tiny.onnx.json"}
                assert not left, left

        return "pinned" if is_pinned else "trusted on first use", use


def _known(is_pinned: bool, url: str) -> KnownModel:
    source = "a test" if is_pinned else None
    sha256 = SHA256 if is_pinned else None
    return KnownModel(
        name="tiny",
        family="Tiny",
        url=url,
        licence="MIT",
        licence_url="http://127.0.0.1/LICENSE",
        sha256=sha256,
        checksum_source=source,
    )


def _answer(dice: random.Random) -> Answer:
    status = dice.choice(_STATUS)
    start = dice.choice([0, 0, 1, 1000, 262_144, len(CONTENT), len(CONTENT) + 1])
    body = dice.choice(
        [CONTENT[start:], CONTENT[start:], CONTENT[: dice.randint(0, len(CONTENT))], b"", b"<html>no</html>"]
    )
    if dice.random() < 0.1:
        body = mutated_bytes(dice, body)
    headers: list[str] = []
    told = dice.choice([str(len(body))] * 6 + [str(len(CONTENT)), number(dice), None])
    if told is not None:
        headers.append(f"Content-Length: {told}")
    if status == 206 or dice.random() < 0.1:
        last, total = (
            dice.choice([str(len(CONTENT) - 1), number(dice)]),
            dice.choice([str(len(CONTENT)), "*", number(dice)]),
        )
        headers.append(f"Content-Range: bytes {dice.choice([str(start), number(dice)])}-{last}/{total}")
    if 300 <= status < 400 or dice.random() < 0.05:
        headers.append(f"Location: {dice.choice([*_PLACES, *_PLACES, dice.choice(WORDS)])}")
    headers.append("ETag: " + dice.choice(['"good"', '"good"', 'W/"good"', '"x"', dice.choice(WORDS)]))
    if dice.random() < 0.3:
        headers.append(f"Last-Modified: {dice.choice(['Sat, 01 Aug 2026 10:00:00 GMT', dice.choice(WORDS)])}")
    headers.append(f"Content-Type: {dice.choice([_TYPES[0], *_TYPES])}")
    if dice.random() < 0.1:
        headers.append(
            dice.choice(["Content-Encoding: gzip", "Connection: keep-alive", "X: " + "x" * 70_000, "no colon"])
        )
    if dice.random() < 0.1:
        headers.append("Transfer-Encoding: chunked")
        if dice.random() < 0.7:
            body = b"".join(
                b"%x\r\n%b\r\n" % (len(body[at : at + 9000]), body[at : at + 9000]) for at in range(0, len(body), 9000)
            )
            body += dice.choice([b"0\r\n\r\n", b"", b"zz\r\n", b"-5\r\n", b"f" * 30 + b"\r\n"])
    dice.shuffle(headers)
    head = (
        f"HTTP/1.1 {status} {dice.choice(['OK', '', 'x' * 300])}\r\n"
        + "".join(f"{line}\r\n" for line in headers)
        + "\r\n"
    )
    raw = head.encode("utf-8", "replace")
    if dice.random() < 0.1:
        raw = mutated_text(dice, raw.decode("utf-8"))
    cut = dice.randint(0, len(body))
    pieces = dice.choice(
        [(raw, body), (raw, body), (raw, body[:cut]), (raw,), (raw[: dice.randint(0, len(raw))],), (raw, body, body)]
    )
    return Answer(pieces, dice.choice(["close"] * 8 + ["reset", "reset", "stall"]))


def _leave_part(dice: random.Random, cache: Path) -> None:
    """What an earlier download may have left, or somebody damaged."""
    cache.mkdir()
    part = CONTENT[: dice.choice([0, 1, 1000, 262_144, len(CONTENT), len(CONTENT)])]
    if dice.random() < 0.3:
        part = mutated_bytes(dice, part + bytes(10))
    (cache / "tiny.onnx.part").write_bytes(part)
    note = {"url": "http://127.0.0.1/tiny.onnx", "etag": '"good"', "last_modified": None, "length": len(CONTENT)}
    (cache / "tiny.onnx.part.json").write_bytes(mutated_text(dice, json.dumps(note)))
