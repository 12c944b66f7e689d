from __future__ import annotations

import locale
import logging
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build import build_blob_model, write_video
from tests.waiting import wait_until

# A program that is started in the background, as by `nohup`, ignores these, and so does each that it starts.
for _number in (signal.SIGINT, *((signal.SIGHUP, signal.SIGQUIT) if os.name != "nt" else ())):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("KEEPBUSY_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Real models, videos and pictures, where they are at hand."""
    if not DATA.is_dir():
        pytest.skip(f"test data not found: neither {DATA} nor KEEPBUSY_TEST_DATA")
    return DATA


@pytest.fixture(scope="session")
def blob_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny detector of red, green and blue squares, in YOLOv5's output form, as IR."""
    return build_blob_model(tmp_path_factory.mktemp("model") / "blob.xml")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real H.264 video, 96x64, 40 frames at 10 frames/s: a red square that moves to the right."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=40)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPBUSY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def the_log_stays_as_it_was() -> Iterator[None]:
    log = logging.getLogger("keepbusy")
    # Libraries that are imported may configure logging for all.
    log.disabled, log.propagate, log.manager.disable = False, True, 0
    log.setLevel(logging.NOTSET)
    before = (log.level, log.disabled, log.propagate, list(log.handlers), log.manager.disable)
    yield
    assert (log.level, log.disabled, log.propagate, list(log.handlers), log.manager.disable) == before


@pytest.fixture(autouse=True)
def the_locale_stays_as_it_was() -> Iterator[None]:
    """What a library sets for the whole process changes how text is read everywhere else in it."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    # A model may still be compiled in the background.
    wait_until(lambda: locale.setlocale(locale.LC_ALL) == before, "the locale is another one", timeout_s=30)


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Keep PyTorch to one thread: its workers spin when other tests want the cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


KEPT_THREADS = frozenset({"fsspecIO"})
"""Threads that a library keeps for the whole process."""


@pytest.fixture(autouse=True)
def no_thread_is_leaked() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    # Rich tells the thread of a spinner to end, and does not wait for it.
    until_s = time.monotonic() + 5
    while (leaked := {one for one in set(threading.enumerate()) - before if one.name not in KEPT_THREADS}) and (
        time.monotonic() < until_s
    ):
        time.sleep(0.005)
    assert not leaked, f"leaked threads: {leaked}"


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Reports go from one process to another: names of files that are no text are made fit for that."""
    found = yield
    return None if found is None else _as_text(found)


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_as_text(key): _as_text(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_as_text(one) for one in value)
    return value
