"""`python -m tests.api_fuzz`: requests that the API's description allows, and such that it does not, against a server.

Schemathesis makes them, operation after operation, until the time is over. No answer may be a mistake of the server
(503 and 504 are none: they say that it is busy), none may have a status that the description does not name, and the
server's log may have no traceback. The exit code is 1 where one is found. The same seed makes the same requests.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.served import Server, serving, soon

BUSY = frozenset({503, 504})

CONFIG = {
    "streams": [{"name": "one", "source": "synth:street?size=320x180&fps=2"}],
    "limits": {"upload_bytes": 1 << 20, "picture_pixels": 4_000_000, "requests_per_s": 100_000},
    "server": {"allow_sources": ["synth:"]},
}

ENDLESS = frozenset({"/api/events"})
"""Their answers have no end: only whether they begin is looked at."""


@dataclass(slots=True)
class Tally:
    """What has come of the requests of one operation.

    Attributes:
        name: Method and path.
        statuses: How often each was answered.
        findings: What should not be.
    """

    name: str
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def schema_of(server: Server) -> Any:
    """The description of a server's API, as Schemathesis has it."""
    import schemathesis

    return schemathesis.openapi.from_url(f"{server.address}/openapi.json")


def operations_of(schema: Any) -> list[Any]:
    """All of its operations."""
    return [one.ok() for one in schema.get_all_operations()]


def problem_of(answer: Any, described: Any) -> str:
    """What is wrong with an answer; empty where nothing is."""
    status = answer.status_code
    if status >= 500 and status not in BUSY:
        return f"{status}: {answer.text[:300]}"
    if str(status) not in described:
        return f"{status} is not described: {answer.text[:300]}"
    if status >= 400 and not {"error", "status"} & set(answer.json()):
        return f"{status} without a reason: {answer.text[:300]}"
    return ""


def begun(case: Any, address: str) -> tuple[int, str]:
    """Ask for an answer without an end, and leave as soon as it begins: the status, and what is wrong with it."""
    requests: Any = importlib.import_module("requests")
    with requests.request(**case.as_transport_kwargs(base_url=address), timeout=60, stream=True) as answer:
        status = int(answer.status_code)
        return status, f"{status}: {answer.text[:300]}" if status >= 500 and status not in BUSY else ""


def name_what_is_there(case: Any, dice: random.Random) -> None:
    """Have most requests get past "there is no such stream": that is all that names by chance find."""
    named = case.path_parameters
    if named and dice.random() < 0.8:
        if "model" in named:
            named["model"] = "street-yolov5n"
        if "name" in named:
            there = {"GET": ["one"], "DELETE": ["two", "three"]}
            named["name"] = dice.choice(there.get(case.method.upper(), ["one", "two", "three"]))
    body = case.body
    if isinstance(body, dict) and "source" in body and dice.random() < 0.5:
        body["source"] = f"synth:street?size=64x64&seed={dice.randrange(9)}"
        body["sinks"] = []
        if dice.random() < 0.5:
            body["name"] = dice.choice(["two", "three"])
    elif isinstance(body, dict) and "model" in (named or {}) and dice.random() < 0.8:
        values: list[Any] = [None, -1, 0, 1, 1 << 40, 0.5, "", "image", "BYTES", [], [1], [[1]], {}, ["AAAA"], ["/9j/"]]
        one = {key: dice.choice(values) for key in ("shape", "data", "parameters") if dice.random() < 0.6}
        body["inputs"] = [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["/9j/4A=="]} | one]
        keys = ("id", "outputs", "parameters")
        body |= {key: dice.choice(values) for key in keys if dice.random() < 0.3}


def try_operation(server: Server, operation: Any, tally: Tally, *, count: int, seed: int, until_s: float) -> None:
    """Send some requests of one operation.

    Args:
        server: That is asked.
        operation: Schemathesis's.
        tally: What comes of it.
        count: So many.
        seed: Of them.
        until_s: When to send no more, of `time.monotonic`.
    """
    import hypothesis

    described, dice = operation.definition.raw["responses"], random.Random(seed)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        if time.monotonic() > until_s:
            return
        name_what_is_there(case, dice)
        if operation.path in ENDLESS:
            status, problem = begun(case, server.address)
        else:
            answer = case.call(base_url=server.address, timeout=60)
            status, problem = answer.status_code, problem_of(answer, described)
        tally.statuses[status] += 1
        if problem:
            tally.findings.append(f"{problem}\n  {case.as_curl_command()[:2000]}")

    ask()


def try_pictures(server: Server, tally: Tally, *, count: int, seed: int, until_s: float) -> None:
    """Send damaged pictures."""
    from tests.fuzz.pictures import Pictures

    pictures, dice = Pictures(), random.Random(seed)
    for number in range(count):
        if time.monotonic() > until_s:
            return
        kind, content = pictures.damaged(dice)
        answer = server.ask("/api/detect", "POST", content)
        tally.statuses[answer.status] += 1
        if answer.status not in (200, 413, 422, *BUSY):
            what = f"{answer.status} for a damaged {kind}, {number} of seed {seed}"
            tally.findings.append(f"{what}: {answer.body[:300]!r}")


def run(seconds: float, seed: int) -> list[Tally]:
    """Send requests to a server of its own, and tell what has come of them."""
    with tempfile.TemporaryDirectory(prefix="keepbusy-api-") as folder, serving(CONFIG, Path(folder)) as server:
        soon(lambda: server.ask("/api/streams/one/latest").status == 200, "no stream runs")
        process = psutil.Process(server.process.pid)
        operations = operations_of(schema_of(server))
        tallies = [Tally(one.label) for one in operations]
        pictures, whole = Tally("damaged pictures"), Tally("the server")
        until_s = time.monotonic() + seconds
        turn = 0
        before_bytes = process.memory_info().rss
        while time.monotonic() < until_s:
            for operation, tally in zip(operations, tallies, strict=True):
                try_operation(server, operation, tally, count=20, seed=seed + 1000 * turn, until_s=until_s)
            try_pictures(server, pictures, count=40, seed=seed + 1000 * turn, until_s=until_s)
            for one in server.ask("/api/streams").json:
                path = f"/api/streams/{quote(one['name'], safe='')}"
                if one["name"] != "one" and server.ask(path, "DELETE").status != 204:
                    whole.findings.append(f"a stream that cannot be removed: {one['name']!r}")
            turn += 1
        print(f"{turn} turns; memory {before_bytes >> 20} MiB before, {process.memory_info().rss >> 20} MiB after")
        if server.ask("/healthz").status != 200:
            whole.findings.append("it does not answer any more")
        code = server.end()
        if code:
            whole.findings.append(f"it ended with {code}")
        if "Traceback" in server.text or "has made a mistake" in server.text:
            whole.findings.append(f"its log has a traceback: {server.text[-3000:]}")
        return [*tallies, pictures, whole]


def main() -> int:
    """Send them; 1 where an answer is a mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tallies = run(options.seconds, options.seed)
    for tally in tallies:
        told = ", ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
        print(f"{tally.name:60} {tally.statuses.total():6}  {told}")
    for tally in tallies:
        for finding in tally.findings[:10]:
            print(f"FINDING, {tally.name}: {finding}")
    num_findings = sum(len(tally.findings) for tally in tallies)
    print(f"{sum(one.statuses.total() for one in tallies)} requests, {num_findings} findings")
    return 1 if num_findings else 0


if __name__ == "__main__":
    sys.exit(main())
