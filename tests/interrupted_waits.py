"""Waits that a Ctrl-C breaks off: `python -m tests.interrupted_waits NAME`, a process for each.

A signal that is delivered to a thread that has used a CPU's matrix registers before can end the process on some virtual
machines: it must not be the one that all other tests run in.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from keepbusy.threads.channel import Gate
from keepbusy.threads.workers import Workers, to_the_end


def interrupted(wait: Callable[[], object]) -> None:
    """Wait for something, with a Ctrl-C while it is waited for."""
    waits = threading.Event()

    def interrupt() -> None:
        waits.wait()
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        waits.set()
        wait()
        time.sleep(60)
    except KeyboardInterrupt:
        thread.join()
    else:
        raise AssertionError("no interrupt came")


def join_to_the_end() -> None:
    """`Thread.join`, broken off, takes the thread for ended, and a second call returns at once."""
    tokens: SimpleQueue[None] = SimpleQueue()
    done = []

    def body() -> None:
        tokens.get()
        time.sleep(0.2)
        done.append(True)

    workers = Workers([("worker", body)], on_end=lambda: done.append(True))
    workers.start()
    releaser = threading.Timer(0.3, tokens.put, [None])
    releaser.start()
    interrupted(lambda: to_the_end(workers.join))
    assert done == [True, True]
    releaser.join()


def join_again_and_again() -> None:
    """Joining can be broken off several times."""
    tokens: SimpleQueue[None] = SimpleQueue()
    workers = Workers([("worker", tokens.get)], on_end=lambda: None)
    workers.start()
    for _ in range(3):
        interrupted(workers.join)
    tokens.put(None)
    assert workers.join()
    assert not [thread for thread in threading.enumerate() if thread.name == "worker"]


def gate() -> None:
    """A gate stays open where a wait was broken off."""
    one = Gate()
    interrupted(one.wait)
    one.open()
    assert one.wait(1)
    assert one.wait(1)


WAITS: dict[str, Callable[[], None]] = {one.__name__: one for one in (join_to_the_end, join_again_and_again, gate)}

if __name__ == "__main__":
    WAITS[sys.argv[1]]()
    sys.stdout.write("done\n")
