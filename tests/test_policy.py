"""What leaves the machine: nothing; and what the audit of the pinned packages says.

Each program runs in a process of its own that writes down what it asks the network for.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from keepbusy.embedded import embedded_model
from keepbusy.errors import SourceError
from keepbusy.files.whole import write_whole
from keepbusy.sinks.images import AnnotatedFolder
from keepbusy.sinks.naming import OutputNames
from keepbusy.sources.open import open_source
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.build import write_picture
from tests.conftest import REPOSITORY
from tests.http_server import serving

AUDIT = """
import os, sys
asked = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
NAMES = ("getaddrinfo", "gethostbyname", "gethostbyaddr", "connect", "sendto", "sendmsg")
WATCHED = frozenset(f"socket.{name}" for name in NAMES)

def note(event, arguments):
    if event in WATCHED:
        os.write(asked, f"{event} {arguments[:2]!r}\\n".encode())

sys.addaudithook(note)
"""

PROGRAM = "from keepbusy.__main__ import main; sys.argv[0] = 'keepbusy'; main()"

SENDS = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass
"""


def asked_for(code: str, *arguments: str, folder: Path) -> tuple[str, str]:
    """What a program asks the network for, and what it prints.

    It runs without the variables that tell OpenVINO that it is tested, and with an empty home folder.
    """
    home = folder / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(home), "LOCALAPPDATA": str(home), "USERPROFILE": str(home)}
    record = folder / "asked.txt"
    command = [sys.executable, "-c", AUDIT + code, str(record), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    # OpenVINO's statistics keep an id and a count here.
    assert not (home / "intel").exists()
    return record.read_text(encoding="utf-8"), done.stdout


def test_the_record_shows_what_is_asked_for(tmp_path: Path) -> None:
    asked, _ = asked_for(SENDS, folder=tmp_path)
    assert "socket.getaddrinfo ('127.0.0.1', 9)" in asked


@pytest.mark.parametrize(
    "command",
    [
        "--version",
        "devices",
        "model-info {model}",
        "detect --head stock --limit 2 --json out.jsonl --save out.mp4",
        "bench --seconds 0.2 --rounds 1 --json out.json",
    ],
)
def test_no_command_asks_the_network_for_anything(command: str, tmp_path: Path) -> None:
    asked, _ = asked_for(PROGRAM, *command.format(model=embedded_model()).split(), folder=tmp_path)
    assert asked == ""


def test_quantizing_asks_the_network_for_nothing(tmp_path: Path, blob_model: Path) -> None:
    pytest.importorskip("nncf")
    rng = np.random.default_rng(0)
    for index in range(3):
        write_picture(tmp_path / f"{index}.png", rng.integers(0, 255, (64, 96, 3), np.uint8))
    command = f"optimize {blob_model} --data {tmp_path} --int8 --force --rounds 1 --seconds 0.2 --output out"
    asked, _ = asked_for(PROGRAM, *command.split(), folder=tmp_path)
    assert asked == "" and list((tmp_path / "out").glob("*.xml"))


def test_a_program_that_uses_the_library_sends_nothing_and_keeps_all_of_openvino(tmp_path: Path) -> None:
    code = """
import numpy as np
from keepbusy import Detector
from keepbusy.embedded import embedded_model
Detector(embedded_model(), head="stock")(np.zeros((64, 96, 3), np.uint8))
import openvino, openvino_telemetry
print(openvino.convert_model.__name__, openvino_telemetry.Telemetry.__name__)
"""
    asked, printed = asked_for(code, folder=tmp_path)
    assert asked == "" and printed.split() == ["convert_model", "Telemetry"]


def test_a_program_that_imports_openvino_first_is_left_as_it_is(tmp_path: Path) -> None:
    code = """
sys.modules["openvino_telemetry"] = own = type(sys)("openvino_telemetry")
from keepbusy.telemetry import import_openvino, without_sender
with without_sender():
    print(sys.modules["openvino_telemetry"] is own)
print(import_openvino() is sys.modules["openvino"], sys.modules["openvino_telemetry"] is own)
"""
    _, printed = asked_for(code, folder=tmp_path)
    assert printed.split() == ["True", "True", "True"]


@contextmanager
def advisories_of(name: str | None) -> Iterator[str]:
    """A server that speaks OSV's language and knows one advisory, on a package; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            affected = [
                {
                    "package": {"name": name, "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.1"}]}],
                }
            ]
            advisory = {"id": "TEST-2026-1", "aliases": [], "summary": "a test", "affected": affected}
            content = json.dumps({"vulns": [advisory]} if asked == name else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler) as address:
        yield f"{address}/"


def audited(address: str) -> tuple[int, str]:
    pytest.importorskip("pip_audit")
    environment = {**os.environ, "AUDIT_OSV_URL": address, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(REPOSITORY / ".ci" / "audit.py")]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_audit_fails_on_an_advisory_and_names_it() -> None:
    with advisories_of("pyyaml") as address:
        code, printed = audited(address)
    assert code == 1 and "audit: pyyaml 6." in printed
    assert "TEST-2026-1 (mended in: 999.1)" in printed and "1 advisories" in printed


def test_the_audit_passes_where_nothing_is_known() -> None:
    with advisories_of(None) as address:
        code, printed = audited(address)
    assert code == 0 and "pinned packages looked up (osv), 0 advisories" in printed and "SKIPPED" not in printed


def test_an_audit_without_data_says_that_it_was_skipped() -> None:
    with advisories_of(None) as address:
        pass
    code, printed = audited(address)
    assert code == 0 and "SKIPPED" in printed and "looked up (" not in printed


def test_a_link_in_a_folder_of_outputs_is_replaced_also_by_a_video(tmp_path: Path, clip: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").symlink_to(victim)
    sink = AnnotatedFolder(tmp_path / "out", OutputNames(), {0: 10.0})
    frame = Frame(np.zeros((64, 96, 3), np.uint8), 0, 0.0, 0, "a.avi")
    sink.write(Result(frame, Detections.empty(), Timings(), None))
    sink.close()
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out" / "a.mp4").is_symlink() and (tmp_path / "out" / "a.mp4").stat().st_size > 300


def test_a_link_under_the_name_of_an_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = tmp_path / f".keepbusy-{os.getpid()}-{threading.get_ident()}.part"
    part.symlink_to(victim)
    write_whole(tmp_path / "out.txt", b"content")
    assert victim.read_text() == "precious" and (tmp_path / "out.txt").read_bytes() == b"content"
    assert not (tmp_path / "out.txt").is_symlink() and not os.path.lexists(part)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_pipe_among_videos_is_replaced_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    sink = AnnotatedFolder(tmp_path, OutputNames(), {})
    sink.write(Result(Frame(np.zeros((64, 96, 3), np.uint8), 0, 0.0, 0, "a.avi"), Detections.empty(), Timings(), None))
    sink.close()
    assert (tmp_path / "a.mp4").is_file()


@contextmanager
def pages(content: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server with some files; its address, and what is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = content.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler) as address:
        yield f"{address}/", asked


def hls(segment: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{segment}\n#EXT-X-ENDLIST\n"


def sdp(address: str) -> str:
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {address} RTP/AVP 33\n"


def write_segment(clip: Path, path: Path) -> Path:
    """A clip as a transport stream, which playlists are made of."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return path


def read_all(spec: str) -> int:
    source = open_source(spec, read_ahead=False)
    try:
        return sum(1 for _ in iter(source.read, None))
    finally:
        source.close()


@pytest.mark.parametrize("name", ["a.m3u8", "a.mp4", "b.ffconcat", "b.mkv", "c.sdp"])
def test_a_file_that_names_addresses_leads_to_none_of_them(name: str, tmp_path: Path, clip: Path) -> None:
    segment_file = write_segment(clip, tmp_path / "seg.ts")
    with pages({"/seg.ts": segment_file.read_bytes()}) as (address, asked):
        segment = f"{address}seg.ts"
        texts = {
            "a": hls(segment),
            "b": f"ffconcat version 1.0\nfile '{segment}'\n",
            "c": sdp(address.rstrip("/").rsplit(":", 1)[1]),
        }
        (tmp_path / name).write_text(texts[name[0]])
        with pytest.raises(SourceError):
            read_all(str(tmp_path / name))
        assert asked == []


def test_a_playlist_from_the_network_leads_on_but_never_to_files(tmp_path: Path, clip: Path) -> None:
    segment_file = write_segment(clip, tmp_path / "seg.ts")
    content = {
        "/net.m3u8": hls("/seg.ts").encode(),
        "/file.m3u8": hls(segment_file.as_uri()).encode(),
        "/seg.ts": segment_file.read_bytes(),
    }
    with pages(content) as (address, asked):
        assert read_all(f"{address}net.m3u8") > 0 and "/seg.ts" in asked
        with pytest.raises(SourceError):
            read_all(f"{address}file.m3u8")
