"""Long videos in parts: what the parts give is what the whole gives, or the video is not cut, and that is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.batch import UnitConfig, read_status, run_batch
from keepbusy.batch.cuts import NoCutError, cut
from keepbusy.errors import FrameError
from keepbusy.sources import Source
from keepbusy.sources.ranges import Part, VideoPart
from keepbusy.sources.video import Video
from tests.batch_jobs import rows_in, state_in
from tests.cut_videos import NUM_FRAMES, VIDEOS, encode, h264_closed, h264_intra_refresh

FRAMES_PER_PART = 50
MAX_PIXELS = 1 << 29

NOT_CUT = {
    "edit_list": "an edit list leaves out a part of it",
    "transport_stream": "mpegts has no index",
    "truncated": "a part of it is damaged",
    "truncated_mkv": "it is cut short|it has no index",
}
NOT_HOLDING = {"h264_intra_refresh", "damaged"}
CUT = sorted(VIDEOS.keys() - NOT_CUT.keys() - NOT_HOLDING)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


def frames_of(source: Source) -> Iterator[tuple[Any, ...]]:
    """Index, time and pixels of each frame, or its error; closes the source."""
    try:
        while True:
            try:
                frame = source.read()
            except FrameError as error:
                yield error.frame_index, error.reason
                continue
            if frame is None:
                return
            assert frame.image is not None
            yield frame.index, frame.timestamp_s, hashlib.md5(frame.image.tobytes()).hexdigest()
    finally:
        source.close()


def holds(before: VideoPart, behind: VideoPart, part: Part) -> bool:
    ends, begins = before.ends, behind.ends
    return ends.tail == begins.head and len(ends.tail) == 3 and ends.next_index == part.first_index


def in_parts(path: Path) -> tuple[list[tuple[Any, ...]], list[bool]]:
    """The frames of all parts of a video, and whether each cut held."""
    parts = cut(path, path.name, frames_per_part=FRAMES_PER_PART, max_pixels=MAX_PIXELS)
    assert len(parts) > 2 and parts[0].start_pts is None and parts[-1].end_pts is None
    assert sum(part.num_frames for part in parts) == NUM_FRAMES
    sources = [VideoPart(str(path), path.name, part) for part in parts]
    frames = [frame for source in sources for frame in frames_of(source)]
    return frames, [holds(a, b, part) for (a, b), part in zip(pairwise(sources), parts[1:], strict=True)]


@pytest.mark.parametrize("name", CUT)
def test_parts_give_the_frames_of_the_whole(name: str, videos: Path) -> None:
    path = VIDEOS[name](videos)
    frames, cuts = in_parts(path)
    assert frames == list(frames_of(Video(str(path), path.name)))
    assert len(frames) == NUM_FRAMES and all(cuts)


@pytest.mark.parametrize("name", NOT_CUT)
def test_what_cannot_be_cut_says_why(name: str, videos: Path) -> None:
    path = VIDEOS[name](videos)
    with pytest.raises(NoCutError, match=NOT_CUT[name]):
        cut(path, path.name, frames_per_part=FRAMES_PER_PART, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("name", sorted(NOT_HOLDING))
def test_parts_that_give_other_frames_are_noticed(name: str, videos: Path) -> None:
    path = VIDEOS[name](videos)
    frames, cuts = in_parts(path)
    assert frames != list(frames_of(Video(str(path), path.name)))
    assert not all(cuts)


def test_short_videos_are_not_cut(videos: Path) -> None:
    path = h264_closed(videos)
    assert cut(path, path.name, frames_per_part=NUM_FRAMES // 2 + 1, max_pixels=MAX_PIXELS) == []


def test_a_video_with_one_key_frame_is_not_cut(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", g="500", x264_params="scenecut=0")
    with pytest.raises(NoCutError, match="no key frame to be cut at"):
        cut(path, path.name, frames_per_part=50, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(("stride", "processes"), [(1, 2), (7, 1)])
def test_a_batch_of_a_cut_video_is_that_of_the_whole(
    stride: int, processes: int, videos: Path, blob_model: Path, tmp_path: Path
) -> None:
    path, select = h264_closed(videos), kb.SelectConfig(stride=stride)
    done = run_batch(
        path, tmp_path / "cut", blob_model, select=select, units=UnitConfig(frames=50), processes=processes
    )
    assert done.num_units == 5 and done.num_frames == -(-NUM_FRAMES // stride) and done.notes == {}
    whole = run_batch(path, tmp_path / "whole", blob_model, select=select, units=UnitConfig(frames=None))
    assert whole.num_units == 1
    assert rows_in(tmp_path / "cut") == rows_in(tmp_path / "whole")


def test_a_video_whose_cuts_do_not_hold_is_done_in_one_piece(videos: Path, blob_model: Path, tmp_path: Path) -> None:
    path = h264_intra_refresh(videos)
    done = run_batch(path, tmp_path / "cut", blob_model, units=UnitConfig(frames=50))
    assert done.num_units == done.num_done == 1
    assert list(done.notes.values()) == ["not cut: its parts, read by themselves, do not give the same pictures"]
    run_batch(path, tmp_path / "whole", blob_model, units=UnitConfig(frames=None))
    assert rows_in(tmp_path / "cut") == rows_in(tmp_path / "whole")
    assert len(list((tmp_path / "cut" / "frames").iterdir())) == 1
    (note,) = read_status(tmp_path / "cut").progress.notes.values()
    assert note.startswith("not cut")


def test_a_video_that_cannot_be_cut_is_done_and_reported(
    videos: Path, blob_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = VIDEOS["transport_stream"](videos)
    done = run_batch(path, tmp_path / "out", blob_model, units=UnitConfig(frames=50))
    assert (done.num_units, done.num_frames) == (1, NUM_FRAMES)
    assert done.notes == {str(path): "not cut: mpegts has no index"}


def test_a_limit_leaves_videos_whole(videos: Path, blob_model: Path, tmp_path: Path) -> None:
    path = h264_closed(videos)
    select = kb.SelectConfig(limit=60)
    done = run_batch(path, tmp_path / "out", blob_model, select=select, units=UnitConfig(frames=50))
    assert (done.num_units, done.num_frames) == (1, 60)


def test_a_cut_video_that_changes_is_done_again(blob_model: Path, tmp_path: Path) -> None:
    path = h264_closed(tmp_path)
    output = tmp_path / "out"
    run_batch(path, output, blob_model, units=UnitConfig(frames=50))
    path.write_bytes(VIDEOS["h264_b_frames"](tmp_path).read_bytes())
    assert run_batch(path, output, blob_model, units=UnitConfig(frames=50)).num_units == 4
    units = [work.unit for work in state_in(output).work.values()]
    assert all(unit.part is not None for unit in units)
