"""Runs in asyncio programs: closed in bounded time whatever is cancelled, while the event loop goes on."""

from __future__ import annotations

import asyncio
import re
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.config import Mode
from keepbusy.testing import ScriptedSource, numbered_image
from tests.build import build_blob_model, write_video

PAGE = (Path(__file__).parents[1] / "docs" / "concepts" / "streams.md").read_text(encoding="utf-8")

MODES: list[Mode] = ["async", "sync"]


class Hung(kb.Source):
    """A camera that gives one picture and then nothing, and cannot be interrupted until it is let go."""

    def __init__(self) -> None:
        self.info = kb.SourceInfo("hung", is_live=True)
        self.let_go = threading.Event()
        self.is_waiting = threading.Event()
        self.is_interrupted = threading.Event()
        self.is_closed = False
        self.num_read = 0

    def read(self) -> kb.Frame | None:
        self.num_read += 1
        if self.num_read == 1:
            return kb.Frame(numbered_image(0, (96, 64)), 0, 0.0, 0, "hung")
        self.is_waiting.set()
        assert self.let_go.wait(60)
        return None

    def interrupt(self) -> None:
        self.is_interrupted.set()

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def hung() -> Iterator[Hung]:
    camera = Hung()
    yield camera
    camera.let_go.set()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait; only a loop that goes on comes to its end."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.001)


async def watch(results: AsyncIterator[kb.Result]) -> None:
    async for _ in results:
        pass


@asynccontextmanager
async def watched(camera: Hung, results: kb.AsyncResults) -> AsyncIterator[asyncio.Task[None]]:
    """A task that waits for a camera, from when it does."""
    task = asyncio.create_task(watch(results))
    await until(lambda: camera.is_waiting.is_set() and results.stats is not None and results.stats.num_frames == 1)
    yield task


@pytest.mark.parametrize("mode", MODES)
def test_the_loop_goes_on_while_a_cancelled_run_is_closed(blob_model: Path, hung: Hung, mode: Mode) -> None:
    async def main(pipeline: kb.Pipeline) -> None:
        async with watched(hung, pipeline.stream(hung)) as task:
            task.cancel()
            await until(hung.is_interrupted.is_set)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not task.done() and not hung.is_closed, "it waits for the read that goes on"
            hung.let_go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert hung.is_closed

    with kb.Pipeline(blob_model, mode=mode) as pipeline:
        asyncio.run(main(pipeline))
        assert len(list(pipeline.run(ScriptedSource(3)))) == 3


@pytest.mark.parametrize("mode", MODES)
def test_who_is_cancelled_again_waits_no_longer_and_the_run_is_closed_all_the_same(
    blob_model: Path, hung: Hung, mode: Mode
) -> None:
    async def main(pipeline: kb.Pipeline) -> None:
        async with watched(hung, pipeline.stream(hung)) as task:
            for _ in range(2):
                task.cancel()
                await until(hung.is_interrupted.is_set)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not hung.is_closed
            asyncio.get_running_loop().call_later(0.01, hung.let_go.set)
            # The next run waits for the closing of the one before it.
            assert [one.frame.index async for one in pipeline.stream(ScriptedSource(3))] == [0, 1, 2]
            assert hung.is_closed

    with kb.Pipeline(blob_model, mode=mode) as pipeline:
        asyncio.run(main(pipeline))


def test_a_run_that_is_cancelled_while_it_opens_is_closed(blob_model: Path) -> None:
    is_opening, let_go = threading.Event(), threading.Event()
    opened: list[kb.Run] = []

    def open_run() -> kb.Run:
        is_opening.set()
        assert let_go.wait(60)
        opened.append(pipeline.run(ScriptedSource(None)))
        return opened[0]

    async def main() -> None:
        task = asyncio.create_task(watch(kb.AsyncResults(open_run)))
        await until(is_opening.is_set)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert opened[0].stats.snapshot().is_finished

    with kb.Pipeline(blob_model) as pipeline:
        asyncio.run(main())


def test_results_that_were_never_awaited_are_closed_without_a_run(blob_model: Path, clip: Path) -> None:
    async def main() -> None:
        async with pipeline.stream(clip) as results:
            assert results.stats is None
        assert [one async for one in results] == [], "they are closed"

    with kb.Pipeline(blob_model) as pipeline:
        asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
def test_a_loop_that_is_left_without_a_block_frees_the_pipeline(blob_model: Path, clip: Path, mode: Mode) -> None:
    async def main() -> None:
        for _ in range(3):
            async for _ in pipeline.stream(clip, loop=True):
                break
        async for _ in pipeline.stream(clip, loop=True):
            break
        with await asyncio.to_thread(pipeline.start):
            pass
        async for _ in pipeline.stream(clip, loop=True):
            break
        assert len(list(pipeline.run(clip))) == 40

    with kb.Pipeline(blob_model, mode=mode) as pipeline:
        asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
def test_another_task_may_close_what_one_waits_for(blob_model: Path, hung: Hung, mode: Mode) -> None:
    async def main(pipeline: kb.Pipeline) -> None:
        results = pipeline.stream(hung)
        async with watched(hung, results) as task:
            closing = asyncio.create_task(results.close())
            await until(hung.is_interrupted.is_set)
            hung.let_go.set()
            await closing
            await task
            await results.close()

    with kb.Pipeline(blob_model, mode=mode) as pipeline:
        asyncio.run(main(pipeline))


def test_a_failed_frame_ends_the_run(blob_model: Path, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(kb.FrameError):
            await watch(results)
        assert results.stats is not None and results.stats.is_finished

    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    with kb.Pipeline(blob_model) as pipeline:
        results = pipeline.stream(tmp_path / "broken.jpg")
        asyncio.run(main())
        assert len(list(pipeline.run(ScriptedSource(3)))) == 3


@pytest.mark.parametrize("mode", MODES)
def test_streams_are_added_while_a_run_is_iterated(blob_model: Path, clip: Path, mode: Mode) -> None:
    async def main() -> None:
        run = await asyncio.to_thread(pipeline.start)
        counts = {"first": 0, "second": 0}
        async with kb.AsyncResults(run) as results:
            run.add(str(clip), kb.StreamConfig(name="first"))
            async for result in results:
                name = run.streams[result.frame.source_id].name
                if counts["first"] == 5:
                    run.add(str(clip), kb.StreamConfig(name="second"))
                    run.end()
                counts[name] += 1
        assert counts == {"first": 40, "second": 40}
        assert results.stats is not None and results.stats.is_finished

    with kb.Pipeline(blob_model, mode=mode) as pipeline:
        asyncio.run(main())


def test_the_examples_of_the_docs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "yolov5n.xml")
    for name, num_frames in (("door", 5), ("yard", 7)):
        write_video(tmp_path / f"{name}.mp4", num_frames=num_frames)
    examples = re.findall(r"```python\n(.*?)```", PAGE.partition("## asyncio")[2], re.DOTALL)
    short, whole = (re.sub(r"rtsp://(\w+)/stream", r"\1.mp4", example) for example in examples)
    exec(compile(whole, "docs/concepts/streams.md", "exec"), {})
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert sorted(line.split()[0] for line in lines) == ["door"] * 5 + ["yard"] * 7

    names: dict[str, Any] = {}
    exec(
        compile(f"async def main(pipeline):\n{textwrap.indent(short, ' ')}", "docs/concepts/streams.md", "exec"), names
    )
    with kb.Pipeline("yolov5n.xml") as pipeline:
        asyncio.run(names["main"](pipeline))
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_loop_that_was_left_goes_on_while_a_variable_refers_to_its_results(blob_model: Path, clip: Path) -> None:
    async def main() -> None:
        results = pipeline.stream(clip, loop=True)
        async for _ in results:
            break
        with pytest.raises(kb.KeepbusyError, match="the pipeline is still running"):
            await watch(pipeline.stream(clip))
        await results.close()
        await watch(pipeline.stream(clip))

    with kb.Pipeline(blob_model) as pipeline:
        asyncio.run(main())
