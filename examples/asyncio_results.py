"""Results in an asyncio program: the event loop stays free while frames are read and inferred."""

import asyncio

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model


async def watch(pipeline: kb.Pipeline, done: asyncio.Event) -> None:
    """Count what is found."""
    total = 0
    async with pipeline.stream(embedded_clip(), limit=45) as results:
        async for result in results:
            total += len(result.detections)
    done.set()
    print(f"{total} detections in 45 frames")


async def live_on(done: asyncio.Event) -> None:
    """Do something else meanwhile: a server would answer its clients here."""
    turns = 0
    while not done.is_set():
        turns += 1
        await asyncio.sleep(0.01)
    print(f"the event loop took {turns} turns meanwhile")


async def main() -> None:
    """Run the example."""
    done = asyncio.Event()
    with kb.Pipeline(embedded_model()) as pipeline:
        await asyncio.gather(watch(pipeline, done), live_on(done))


if __name__ == "__main__":
    asyncio.run(main())
