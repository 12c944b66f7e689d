"""What compiling a graph leaves behind in the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import locale, threading
from types import SimpleNamespace
from keepbusy.models.compile import compile_graph

locale.setlocale(locale.LC_ALL, "C.UTF-8")
is_first_inside, is_second_inside, is_first_out = (threading.Event() for _ in range(3))

def first(*_):
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    is_first_inside.set()
    assert is_second_inside.wait(60)
    locale.setlocale(locale.LC_ALL, before)

def second(*_):
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    is_second_inside.set()
    assert is_first_out.wait(60)
    locale.setlocale(locale.LC_ALL, before)
    raise RuntimeError("does not compile")

def compile_first():
    compile_graph(SimpleNamespace(compile_model=first), None, "CPU", {})
    is_first_out.set()

thread = threading.Thread(target=compile_first)
thread.start()
assert is_first_inside.wait(60)
try:
    compile_graph(SimpleNamespace(compile_model=second), None, "CPU", {})
except RuntimeError as error:
    print(error)
thread.join()
print(locale.setlocale(locale.LC_ALL))
"""
"""A device that does to the process's locale what OpenVINO does, in the order in which it goes wrong."""


def test_threads_that_compile_at_once_leave_the_locale_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "does not compile\nC.UTF-8\n"


def test_signals_are_handled_where_they_were_before_a_model_was_compiled(blob_model: Path) -> None:
    """In a process of its own: pytest has made a stack for signals in this one, which OpenVINO leaves as it is."""
    program = f"""
from keepbusy.threads.signal_stack import signal_stack
before = signal_stack()
import keepbusy as kb
detector = kb.Detector({str(blob_model)!r})
with kb.Pipeline({str(blob_model)!r}) as pipeline, pipeline.run("synth:street?size=64x64&frames=3") as run:
    print(len(list(run)), signal_stack() == before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout == "3 True\n", done.stderr
