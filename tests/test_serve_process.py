"""The process of `keepbusy serve`: its command line, its signals, its port, its configuration read again, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from keepbusy.errors import ConfigError
from keepbusy.serve.configuration.load import check_settings
from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.http.metrics import Reloads
from keepbusy.serve.reload import OneMore, read_again
from keepbusy.serve.supervise.wall import Wall
from tests.served import Server, begin, serving, soon
from tests.starter import run_program

STREET = "synth:street?size=64x64&fps=10"


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run_program("serve", *words, cwd=folder)


def test_check_tells_all_mistakes_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "wall.yaml").write_text("conf: 2\nstreams:\n  - source: a\n    weigth: 2\n", encoding="utf-8")
    done = run("wall.yaml", "--check", folder=tmp_path)
    assert done.returncode == 2
    assert "error: wall.yaml:1: conf: must be 1 or less, and is 2" in done.stderr
    assert "error: wall.yaml:4: streams[0].weigth: is no key here: did you mean weight?" in done.stderr
    (tmp_path / "wall.yaml").write_text(f"streams:\n  - source: {STREET}\n", encoding="utf-8")
    done = run("wall.yaml", "--check", folder=tmp_path)
    assert done.returncode == 0 and "no mistakes" in done.stderr


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert "streams" in json.loads(run("--schema", folder=tmp_path).stdout)["properties"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "no configuration and no source given"),
        (("--demo", "a.mp4"), "brings its own streets"),
        (("none.yaml",), "none.yaml: cannot be read: No such file"),
        (("--demo", "--host", "0.0.0.0"), "hint: give it as the variable KEEPBUSY_TOKEN, by --token, or as"),
        (("--demo", "--host", "0.0.0.0"), "a token is required"),
        (("--demo", "--hint", "throughput"), "it is a key of the configuration: write `hint: ...` into CONFIG.yaml"),
        (("--demo", "--names", "x.txt"), "it is a key of the configuration: write `names: ...` into CONFIG.yaml"),
        (("--demo", "--decoder", "vaapi"), "it is a key of the configuration: write `decoder: ...` into CONFIG.yaml"),
        (("--demo", "--weight", "2"), "it is a key of a stream of the configuration: write `weight: ...`"),
        (("region.yaml",), "hint: region: corners are shares of the frame, 0 to 1, and not pixels"),
        (("variables.yaml",), "hint: set it first: export NO_SUCH_1=... NO_SUCH_2=..."),
        (("--demo", "--token", "short"), "a token has 16 to 256"),
        (("--demo", "--device", "TPU"), "there is no TPU"),
    ],
)
def test_what_cannot_be_served_is_refused(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "region.yaml").write_text("region: [[0, 0], [640, 360]]\n", encoding="utf-8")
    (tmp_path / "variables.yaml").write_text("names: ${NO_SUCH_1}\nmodel: ${NO_SUCH_2}\n", encoding="utf-8")
    done = run(*words, folder=tmp_path)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_port_that_is_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(STREET, "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert done.returncode == 2 and "Address already in use" in done.stderr and "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_sources_on_the_command_line_are_served_with_a_token_of_the_environment(tmp_path: Path) -> None:
    token = "0123456789abcdef-env"
    words = [STREET, f"{STREET}&seed=2", "--host", "0.0.0.0", "--port", "0"]
    with begin(*words, folder=tmp_path, environment={"KEEPBUSY_TOKEN": token}) as process:
        server = Server(process)
        (said,) = [line for line in server.said if line.startswith("keepbusy serves at ")]
        named = f"http://{socket.gethostname()}:{server.port}/"
        assert said == f"keepbusy serves at {named} and all other addresses of this machine\n"
        assert server.ask("/api/streams").status == 401
        names = [one["name"] for one in server.ask("/api/streams", authorization=f"Bearer {token}").json]
        assert names == ["stream-1", "stream-2"]
        soon(lambda: server.ask("/readyz").status == 200)
        assert server.end() == 0 and token not in server.text
        assert "--hint" not in server.text and "not expected" not in server.text


def write(path: Path, config: Any) -> None:
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")


def test_a_configuration_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    config: dict[str, Any] = {"streams": [{"name": "a", "source": STREET}], "server": {"port": 0}}
    with serving(config, tmp_path) as server:
        server.wait_until_ready(1)
        path = tmp_path / "wall.yaml"
        before = server.ask("/api/streams/a").json["totals"]["arrived"]

        def names() -> list[str]:
            return [one["name"] for one in server.ask("/api/streams").json]

        config["streams"] = [{"name": "a", "source": STREET, "conf": 0.5}, {"name": "b", "source": STREET}]
        write(path, config)
        server.process.send_signal(signal.SIGHUP)
        soon(lambda: names() == ["a", "b"])
        one = server.ask("/api/streams/a").json
        assert one["thresholds"] == {"conf": 0.5} and one["totals"]["arrived"] >= before
        path.write_text("streams:\n  - {name: a, source: x, classes: [unicorn]}\n  - 7\n", encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        soon(lambda: "wall.yaml:3: streams[1]" in server.text)
        path.write_text(f"streams:\n  - name: a\n    source: {STREET}\n    classes: [unicorn]\n", encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        soon(lambda: "wall.yaml:4: streams[0].classes: the model has no class 'unicorn'" in server.text)
        write(path, {**config, "server": {"port": 0, "allowed_hosts": ["other"]}})
        server.process.send_signal(signal.SIGHUP)
        soon(lambda: "server.allowed_hosts" in server.text)
        assert names() == ["a", "b"] and server.ask("/api/streams/b").json["state"] == "running"
        metrics = server.ask("/metrics").body.decode()
        assert 'keepbusy_config_reloads_total{outcome="bad"} 3.0' in metrics
        assert 'keepbusy_config_reloads_total{outcome="good"} 1.0' in metrics


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_while_sinks_are_opened_end_it_with_these_finished(number: int, tmp_path: Path) -> None:
    """A pipe that nobody reads yet holds the start up. SIGHUP, however often, ends nothing."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    sinks = {"a": ["early.jsonl", "pipe.jsonl"], "b": ["late.jsonl"]}
    streams = [{"name": name, "source": STREET, "sinks": given} for name, given in sinks.items()]
    write(tmp_path / "wall.yaml", {"streams": streams})
    with begin("wall.yaml", "--port", "0", folder=tmp_path) as process:
        soon((tmp_path / "early.jsonl").exists)
        for _ in range(5):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(number)
        time.sleep(0.2)
        with (tmp_path / "pipe.jsonl").open(encoding="utf-8") as pipe:
            assert process.wait(60) == 0 and not pipe.read()
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    assert not (tmp_path / "late.jsonl").exists()


@pytest.mark.parametrize("wait_s", [0.0, 0.5])
def test_a_signal_while_the_model_is_compiled_ends_it(wait_s: float, tmp_path: Path) -> None:
    with serving({"streams": [{"name": "a", "source": STREET, "sinks": ["out.jsonl"]}]}, tmp_path) as server:
        time.sleep(wait_s)
        server.process.send_signal(signal.SIGHUP)
        assert server.end() == 0 and "Traceback" not in server.text, server.text


def test_many_signals_are_one_more_reload_and_what_waits_at_the_end_is_dropped() -> None:
    begun, goes_on = threading.Semaphore(0), threading.Semaphore(0)
    num_done = []

    def work() -> None:
        begun.release()
        goes_on.acquire()
        num_done.append(1)

    again = OneMore(work)
    for _ in range(10):
        again.ask()
        if _ == 0:
            begun.acquire()
    goes_on.release()
    begun.acquire()
    assert len(num_done) == 1  # The second one, for nine that have asked, has begun.
    again.ask()
    assert not again.close(0.01)
    goes_on.release()
    assert again.close(10) and len(num_done) == 2
    again.ask()
    assert len(num_done) == 2 and not begun.acquire(blocking=False)


@pytest.mark.parametrize("error", [RuntimeError("boom\nmore"), MemoryError(), ConfigError("wrong"), None])
def test_whatever_a_reload_fails_with_is_told_once_and_the_old_configuration_stays(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    wall, reloads = Wall(check_settings({"streams": [{"name": "a", "source": STREET}]})), Reloads()
    before = wall.settings

    def load() -> ServeSettings:
        if error is not None:
            raise error
        return check_settings({"conf": 7, "iou": 7})

    read_again(wall, load, "wall.yaml", reloads)
    assert (reloads.num_good, reloads.num_bad) == (0, 1) and wall.settings is before
    lines = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert len(lines) == len(set(lines)) == (1 if error is not None else 2)
    assert not [one for one in caplog.records if one.levelname == "INFO"]
    (event,) = wall.events.after(0)[0]
    assert "the one before stays in force" in event["text"] and "\n" not in event["text"]
    wall.close(5)


def test_the_end_finishes_what_is_there(tmp_path: Path) -> None:
    """SIGTERM with pictures on their way and a sink: all are answered, and the file is whole."""
    import concurrent.futures

    import cv2
    import numpy as np

    picture = bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    config = {"streams": [{"name": "a", "source": STREET, "sinks": ["out.jsonl", "out.mp4"]}]}
    with serving(config, tmp_path) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        server.wait_until_ready(1)
        answers = [pool.submit(server.ask, "/api/detect", "POST", picture) for _ in range(8)]
        concurrent.futures.wait(answers, return_when=concurrent.futures.FIRST_COMPLETED)
        begin_s = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begin_s < 15
        assert {answer.result().status for answer in answers if answer.exception() is None} <= {200, 503}
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["stream"] == "a" for line in lines) and lines
    import av

    with av.open(str(tmp_path / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 0


def test_an_earlier_file_stays_when_the_server_is_started_again(tmp_path: Path) -> None:
    config = {"streams": [{"name": "a", "source": STREET, "sinks": ["out.jsonl"]}]}
    for _ in range(2):
        with serving(config, tmp_path) as server:
            server.wait_until_ready(1)
    files = sorted(tmp_path.glob("out*.jsonl"))
    assert len(files) == 2 and all(path.stat().st_size for path in files)


HUNG = """
import sys
from pathlib import Path
from keepbusy.serve.supervise.backend import PipelineBackend
from keepbusy.serve.configuration.load import check_settings
from keepbusy.serve.run import Told, serve
from tests.test_serve_wall import Scripted
from keepbusy.testing import ScriptedDevice

def make(settings, device):
    return Scripted(settings.device, device, ScriptedDevice(hangs=range(10, 10_000)), 60.0)

settings = check_settings({"server": {"port": 0, "drain_s": 1.0}, "streams": [{"source": "synth:street?size=64x64"}]})
told = Told(lambda address: print(f"keepbusy serves at {address}", file=sys.stderr, flush=True))
import os
os._exit(0 if serve(settings, make=make, told=told) else 1)
"""


def test_a_device_that_hangs_does_not_keep_the_process_from_its_end(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HUNG], stderr=subprocess.PIPE, encoding="utf-8", cwd=Path(__file__).parent.parent
    ) as process:
        server = Server(process)
        soon(lambda: server.ask("/api/streams").json[0]["totals"]["in_flight"] > 0)
        time.sleep(1)
        begin_s = time.monotonic()
        assert server.end() == 1
        assert time.monotonic() - begin_s < 15


def test_sixty_four_cameras_half_of_them_absent(tmp_path: Path) -> None:
    streams = [
        {"name": f"c{number}", "source": STREET if number % 2 else "rtsp://127.0.0.1:1/none", "max_fps": 1}
        for number in range(64)
    ]
    with serving({"streams": streams, "limits": {"requests_per_s": 1000}}, tmp_path) as server:
        soon(lambda: server.num_running() == 32)
        reports = server.ask("/api/streams").json
        assert all(one["error"] for one in reports[::2])
        for _ in range(5):
            for one in server.ask("/api/streams").json:
                totals = one["totals"]
                assert totals["arrived"] == totals["results"] + sum(totals["dropped"].values()) + totals["in_flight"]
        ages = [one["age_p99_ms"] for one in reports[1::2] if one["age_p99_ms"] is not None]
        assert ages and max(ages) <= 1050, "no result that is older than max_age_ms reaches anybody"


def test_https_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    import shutil
    import ssl
    import urllib.request

    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, capture_output=True
    )
    config = {"server": {"tls": {"certificate": "cert.pem", "key": "key.pem"}}}
    with serving(config, tmp_path) as server:
        assert server.address.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with urllib.request.urlopen(f"{server.address}/healthz", context=context, timeout=60) as answer:
            assert answer.status == 200


def test_many_large_pictures_take_no_more_memory_than_allowed(tmp_path: Path) -> None:
    """Small files of 10 million pixels each, 30 MB decoded: no more than four times the limit of them at once."""
    import concurrent.futures

    import cv2
    import numpy as np
    import psutil

    picture = bytes(cv2.imencode(".jpg", np.full((2500, 4000, 3), 90, np.uint8))[1].tobytes())
    config = {"limits": {"picture_pixels": 10_000_000, "requests_per_s": 1000}}
    with serving(config, tmp_path) as server, concurrent.futures.ThreadPoolExecutor(24) as pool:
        soon(lambda: server.ask("/readyz").status == 200)
        process = psutil.Process(server.process.pid)
        assert server.ask("/api/detect", "POST", picture).status == 200
        before = most = process.memory_info().rss
        answers = [pool.submit(server.ask, "/api/detect", "POST", picture) for _ in range(24)]
        while not all(answer.done() for answer in answers):
            most = max(most, process.memory_info().rss)
            time.sleep(0.02)
        assert {answer.result().status for answer in answers} <= {200, 503}
        assert most - before < 350 << 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_whose_configuration_had_models_looked_at_ends_at_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    """OpenVINO makes a small stack for signals in the thread that loads its plugin."""
    config = {"overload": {"imgsz": [320]}, "streams": [{"source": "synth:street?size=96x64&fps=5"}]}
    with serving(config, tmp_path) as server:
        server.wait_until_ready(1)
        server.process.send_signal(signal.SIGHUP)
        soon(lambda: "was read again" in server.text)
        assert server.end(number) == 0
