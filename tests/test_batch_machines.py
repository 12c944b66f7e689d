"""Batches and what they run on: object stores that fail, cores and their groups, instructions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from keepbusy.batch import processes, remote
from keepbusy.batch.engine import instruction_set
from keepbusy.batch.job import differences, plain
from keepbusy.batch.logins import Logins
from keepbusy.batch.remote import RETRY, fetch, list_remote, remote_entry
from keepbusy.config import Retry
from keepbusy.errors import MissingExtraError, SourceError


class Throttled(Exception):  # noqa: N818 - as stores call it
    """What a store's package raises."""


class Store:
    """A store in memory that fails at chosen calls."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        self.fs = fsspec.filesystem("memory")
        self.num_calls = 0
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.num_calls += 1
            if self._fails(self.num_calls):
                raise Throttled("slow down")
            return getattr(self.fs, name)(*arguments, **options)

        return call


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; nobody waits."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


@pytest.fixture
def clips() -> list[str]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for name in ("b/10.mp4", "b/2.mp4", "b/readme.txt", "b/.hidden.mp4", "b/deep/3.png"):
        fs.pipe(f"/{name}", name.encode() * 100)
    return ["memory://b/2.mp4", "memory://b/10.mp4"]


def open_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_opened", lambda address, _logins: (store, address.removeprefix("memory://")))


def test_folders_and_patterns_of_a_store(clips: list[str]) -> None:
    assert [entry.location for entry in list_remote("memory://b/", Logins())] == clips
    deep = [entry.name for entry in list_remote("memory://b/**/*.png", Logins())]
    assert len(deep) == 1 and deep[0].endswith("deep/3.png")
    (one,) = list_remote("memory://b/2.mp4", Logins())
    assert one.size_bytes == 700 and one.stamp and one.location == list_remote("memory://b/", Logins())[0].location
    with pytest.raises(SourceError, match="no pictures or videos"):
        list_remote("memory://b/*.txt", Logins())
    with pytest.raises(SourceError, match="no such file in the store"):
        remote_entry("memory://b/nothing.mp4", Logins())


def test_another_content_has_another_stamp(clips: list[str]) -> None:
    before = remote_entry(clips[0], Logins())
    fsspec.filesystem("memory").pipe("/b/2.mp4", b"x" * 700)
    assert not before.is_as(remote_entry(clips[0], Logins()))


def test_a_store_that_throttles_costs_time_and_no_bytes(
    clips: list[str], waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = remote_entry(clips[0], Logins())
    store = Store(lambda number: number % 3 != 0)
    open_with(store, monkeypatch)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 128)
    path = fetch(entry, tmp_path, Logins())
    assert path.suffix == ".mp4" and path.read_bytes() == b"b/2.mp4" * 100
    assert store.num_calls == 3 * 6 and len(waits) == 2 * 6
    assert all(0.25 <= wait <= 1.0 for wait in waits)


def test_a_store_that_fails_for_good_says_so(
    clips: list[str], waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = remote_entry(clips[0], Logins())
    open_with(Store(lambda number: True), monkeypatch)
    with pytest.raises(SourceError, match=r"b/2\.mp4: the store has failed 8 times: slow down") as raised:
        fetch(entry, tmp_path, Logins())
    assert raised.value.hint == "the same command tries again"
    assert len(waits) == (RETRY.max_attempts or 0) - 1 and max(waits) <= 30


def test_what_may_not_be_read_is_not_asked_for_again(waits: list[float]) -> None:
    def ask() -> None:
        raise PermissionError(13, "denied")

    with pytest.raises(SourceError, match="may not be read: "):
        remote._asked(ask, "s3://bucket/a", Logins(), Retry(max_attempts=3))
    assert waits == []


def test_a_store_whose_package_is_missing() -> None:
    with pytest.raises((SourceError, MissingExtraError), match="s3"):
        remote_entry("s3://bucket/clip.mp4", Logins())


def cores(monkeypatch: pytest.MonkeyPatch, folder: Path, *, nodes: int, quota: float | None = None) -> None:
    """A machine of 16 cores, two threads each: core n and n + 8 are siblings, halves of them on each node."""
    for number in range(16):
        place = folder / f"cpu{number}"
        (place / "topology").mkdir(parents=True)
        first = number % 8
        (place / "topology" / "thread_siblings_list").write_text(f"{first},{first + 8}\n", encoding="ascii")
        (place / f"node{first * nodes // 8}").mkdir()
    monkeypatch.setattr(processes, "CPUS", folder)
    monkeypatch.setattr(processes, "allowed_cores", lambda: frozenset(range(16)))
    monkeypatch.setattr(processes, "usable_cores", lambda: quota or 16.0)


def test_groups_keep_nodes_and_siblings_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cores(monkeypatch, tmp_path, nodes=2)
    assert processes.candidate_numbers() == [1, 2, 4]
    assert processes.groups_of(1) == [()]
    assert [set(group) for group in processes.groups_of(2)] == [
        {0, 1, 2, 3, 8, 9, 10, 11},
        {4, 5, 6, 7, 12, 13, 14, 15},
    ]
    assert set(processes.groups_of(4)[0]) == {0, 8, 1, 9}


def test_a_quota_leaves_cores_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cores(monkeypatch, tmp_path, nodes=1, quota=9.5)
    assert processes.candidate_numbers() == [1, 2]
    assert [len(group) for group in processes.groups_of(2)] == [4, 4]
    monkeypatch.setattr(processes, "usable_cores", lambda: 2.0)
    assert processes.candidate_numbers() == [1]
    assert processes.groups_of(3) == [(), (), ()], "more processes than cores are left where they are"


def test_more_processes_are_taken_only_where_they_pay() -> None:
    assert processes.best_number({1: 100.0, 2: 102.0, 4: 99.0}) == 1
    assert processes.best_number({1: 100.0, 2: 110.0, 4: 111.0}) == 2
    assert processes.best_number({1: 100.0, 2: 90.0, 4: 120.0}) == 4
    assert processes.best_number({1: 100.0, 2: 0.0}) == 1


def test_the_instructions_that_count(tmp_path: Path) -> None:
    text = "processor : 0\nflags\t\t: fpu sse4_2 avx2 amx_int8 amx_tile ht\nprocessor : 1\n"
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    assert instruction_set(tmp_path / "cpuinfo").split()[1:] == ["sse4_2", "avx2", "amx_tile", "amx_int8"]
    assert instruction_set(tmp_path / "nothing")


def test_differences_are_told_one_by_one() -> None:
    here = plain({"a": 1, "b": {"c": (1, 2), "d": None}})
    assert differences(here, {"a": 1, "b": {"c": [1, 2], "d": None}}) == []
    assert differences(here, {"a": 2, "b": {"c": [1], "d": "x"}}) == [
        "a: 2 there, 1 here",
        "c: [1] there, [1, 2] here",
        "d: x there, none here",
    ]
