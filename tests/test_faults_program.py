"""The program where the environment is poor: no home folder, an old locale."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from keepbusy.cli.parse import parse_classes
from keepbusy.errors import ConfigError
from tests.build import build_blob_model
from tests.test_faults_models import nameless

PROGRAM = [sys.executable, "-m", "keepbusy"]


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {**os.environ, **environment}
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, env=kept, check=False)


def test_a_cache_below_an_unknown_users_home_is_one_line(blob_model: Path) -> None:
    done = run("models", KEEPBUSY_CACHE="~no-such-user-here/x")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line.split(":")[0] for line in lines] == ["error", "hint"] and "home folder" in lines[0]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp936", "utf-8"])
def test_redirected_output_is_utf_8_in_every_locale(tmp_path: Path, encoding: str) -> None:
    model = build_blob_model(tmp_path / "blob.xml")
    (tmp_path / "metadata.yaml").write_text("names: {0: 行人, 1: машина, 2: 'é'}\n", encoding="utf-8")
    text = model.read_text().replace('value="red green blue"', 'value=""')
    model.write_text(text)
    table = run("model-info", model, PYTHONIOENCODING=encoding)
    assert table.returncode == 0, table.stderr
    assert "行人" in table.stdout.decode("utf-8")
    told = run("model-info", model, "--json", PYTHONIOENCODING=encoding)
    assert "машина" in json.dumps(json.loads(told.stdout.decode("utf-8")), ensure_ascii=False)


def test_class_names_may_have_commas_and_digits() -> None:
    names = ("man, adult", "man", "adult", "7")
    assert parse_classes("man, adult", names) == (0,)
    assert parse_classes("man,adult,adult", names) == (0, 2)
    assert parse_classes("adult,man", names) == (2, 1)
    assert parse_classes("7,1", names) == (3, 1)
    assert parse_classes("3", names) == (3,)
    with pytest.raises(ConfigError, match="no class 'boy'"):
        parse_classes("man,boy", names)


INTERRUPT = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    "name", ["typer", "rich.console", "keepbusy.cli.app", "keepbusy.cli.detect", "keepbusy.errors"]
)
def test_an_interrupt_while_the_program_is_loaded_is_quiet(tmp_path: Path, name: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT.format(name=name))
    done = run("detect", "--help", PYTHONPATH=str(tmp_path))
    assert done.returncode == 130
    assert done.stderr == b"" and done.stdout == b""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;pwn\x07\x1b[31mx.mp4", r"\x1b]0;pwn\x07\x1b[31mx.mp4: "),
        ("a\nhint: all is well.mp4", r"a\nhint: all is well.mp4: no such file"),
        ("[/x].mp4", "[/x].mp4"),
        ("[bold]x[link=http://a]y.mp4", "[bold]x[link=http://a]y.mp4"),
    ],
)
def test_a_name_says_nothing_to_the_terminal(name: str, shown: str) -> None:
    done = run("detect", name)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(lines) == 2
    assert lines[0].startswith("error: ") and shown in lines[0] and lines[1].startswith("hint: ")
    assert b"\x1b" not in done.stderr


def test_a_class_may_be_called_anything(tmp_path: Path) -> None:
    model = nameless(tmp_path)
    (tmp_path / "metadata.yaml").write_text(json.dumps({"names": ["[/x]", "[bold]\x1b[31mred", "plain"]}))
    done = run("model-info", model)
    assert done.returncode == 0, done.stderr
    assert b"[/x], [bold]\\x1b[31mred, plain" in done.stdout and b"\x1b" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("words", [("models",), ("models", "--json"), ("--version",), ("--help",)])
def test_a_full_standard_output_is_one_line(words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
    assert "cannot be written: No space left on device" in lines[0]


def test_an_interrupt_inside_an_exec_ends_with_the_exit_code_of_an_interrupt() -> None:
    # Python notes it where a text is executed, as dataclasses do, and would die of the signal at its very end.
    code = """
import sys
import keepbusy.__main__ as program
import keepbusy.cli
keepbusy.cli.main = lambda: exec("raise KeyboardInterrupt")
program.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize("words", [("--version",), ("models",), ("detect", "--limit", "2", "-q")])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_without_standard_streams_works(words: tuple[str, ...], closed: str, tmp_path: Path) -> None:
    lines = tmp_path / "out.jsonl"
    words = (*words, "--json", str(lines)) if words[0] == "detect" else words
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *PROGRAM, *words], capture_output=True, check=False)
    assert done.returncode == 0 and b"rror" not in done.stderr, done.stderr
    if words[0] == "detect":
        assert len(lines.read_text().splitlines()) == 2


def test_the_third_signal_ends_the_program_at_once_also_while_a_library_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # Accepts, and never answers.
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.mp4"
        with subprocess.Popen([*PROGRAM, "detect", address, "-q"]) as process, server.accept()[0]:
            begin_s = time.monotonic()
            for _ in range(3):
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert time.monotonic() - begin_s < 5  # FFmpeg's own limit is 10 s.


def test_a_closed_terminal_leaves_outputs_whole(tmp_path: Path) -> None:
    lines = tmp_path / "out.jsonl"
    words = ["detect", "--loop", "--json", str(lines), "--save", str(tmp_path / "out.mp4"), "-q"]
    with subprocess.Popen([*PROGRAM, *words]) as process:
        while not lines.exists() or lines.stat().st_size < 2000:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 129
    num_lines = sum(bool(json.loads(line)) for line in lines.read_text().splitlines())
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == num_lines


LONG = "a" * 300
USES = [
    ("detect", f"{LONG}.jpg"),
    ("detect", "-m", f"{LONG}.xml"),
    ("detect", "--names", f"{LONG}.txt"),
    ("detect", "--limit", "1", "--save", f"{LONG}.mp4"),
    ("detect", "--limit", "1", "--save-txt", LONG),
    ("detect", "--limit", "1", "--save-crop", LONG),
    ("detect", "--limit", "1", "--json", LONG),
    ("detect", "--limit", "1", "--trace", f"{LONG}.json"),
    ("eval", "--data", LONG),
    ("eval", "--data", f"{LONG}.yaml"),
    ("eval", "--data", f"{LONG}.json", "--images", LONG),
    ("verify", "--against-model", f"{LONG}.xml"),
    ("bench", "--json", f"{LONG}.json"),
    ("optimize", f"{LONG}.xml", "-o", "x", "--data", LONG),
    ("optimize", "-o", LONG),
    ("tune", "-o", f"{LONG}.yaml"),
    ("model-info", f"{LONG}.xml"),
]


@pytest.mark.parametrize("words", USES, ids=lambda words: " ".join(words[:-1]).replace(LONG, "LONG"))
def test_a_name_that_is_too_long_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run([*PROGRAM, *words], capture_output=True, cwd=tmp_path, check=False, timeout=120)
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("note:")]
    assert done.returncode in (1, 2)
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
    assert LONG[:50] in lines[0]
