"""The synthetic street: same pixels everywhere, exact truth, any size, any index."""

from __future__ import annotations

import random
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keepbusy as kb
from keepbusy.errors import SourceError
from keepbusy.street import CLASS_NAMES, StreetScene, StreetSpec, Truth, canvas, cast, parse_street_spec
from keepbusy.street import scene as scene_module
from keepbusy.street.truth import MIN_LONG_SIDE_PX, MIN_SHORT_SIDE_PX, MIN_VISIBLE_SHARE

PINNED = {
    # (seed, width, height, index): CRC-32 of the pixels
    (1, 320, 180, 0): 3469153542,
    (1, 320, 180, 200): 2629425310,
    (4, 320, 180, 33): 2865195470,
    (15, 256, 256, 1000): 2780105730,
    (20, 200, 300, 7): 3677469291,
    (30, 320, 180, 1000000): 2630631025,
}


@pytest.fixture(scope="module")
def show() -> StreetScene:
    return StreetScene(1, 640, 360)


def crc(scene: StreetScene, index: int) -> int:
    return zlib.crc32(scene.render(index)[0].tobytes())


def same(a: Truth, b: Truth) -> bool:
    return (
        np.array_equal(a.boxes_xyxy, b.boxes_xyxy)
        and np.array_equal(a.class_id, b.class_id)
        and np.array_equal(a.visible_share, b.visible_share)
    )


def test_class_names_are_the_eight_street_classes() -> None:
    assert CLASS_NAMES == (
        "person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "stop sign",
    )  # fmt: skip


@pytest.mark.parametrize(("key", "expected"), PINNED.items())
def test_pixels_are_the_same_on_every_machine(key: tuple[int, int, int, int], expected: int) -> None:
    seed, width, height, index = key
    assert crc(StreetScene(seed, width, height), index) == expected


def test_a_frame_does_not_depend_on_what_was_rendered_before() -> None:
    indices = [0, 1, 2, 77, 150, 299, 10_000]
    forward = StreetScene(5, 320, 180)
    expected = {i: forward.render(i) for i in indices}
    shuffled = indices * 2
    random.Random(3).shuffle(shuffled)
    other = StreetScene(5, 320, 180)
    for i in shuffled:
        frame, truth = other.render(i)
        assert np.array_equal(frame, expected[i][0])
        assert same(truth, expected[i][1])


def test_seeds_and_indices_differ() -> None:
    first = StreetScene(1, 320, 180)
    assert crc(first, 0) != crc(first, 1)
    assert crc(first, 0) != crc(StreetScene(2, 320, 180), 0)


def test_frame_rate_sets_the_time_of_an_index() -> None:
    slow, fast = StreetScene(1, 320, 180, fps=15.0), StreetScene(1, 320, 180, fps=30.0)
    assert crc(slow, 20) == crc(fast, 40)


def test_renders_into_a_given_frame(show: StreetScene) -> None:
    out = np.full((360, 640, 3), 77, np.uint8)
    frame, _ = show.render(12, out)
    assert frame is out
    assert np.array_equal(frame, show.render(12)[0])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((360, 640, 3), np.float32),
        np.zeros((640, 360, 3), np.uint8),
        np.zeros((360, 1280, 3), np.uint8)[:, ::2],
    ],
)
def test_refuses_a_frame_that_does_not_fit(show: StreetScene, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        show.render(0, bad)


def test_refuses_bad_arguments(show: StreetScene) -> None:
    with pytest.raises(ValueError, match="negative"):
        show.render(-1)
    for bad in ({"seed": -1}, {"width": 63}, {"height": 10}, {"fps": 0.0}):
        with pytest.raises(ValueError, match="required"):
            StreetScene(**bad)


@pytest.mark.parametrize("size", [(64, 64), (200, 700), (700, 200), (333, 241), (3840, 2160)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    frame, truth = StreetScene(3, width, height).render(50)
    assert frame.shape == (height, width, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 10.0
    check_truth(truth, width, height)


def check_truth(truth: Truth, width: int, height: int) -> None:
    boxes = truth.boxes_xyxy
    count = len(boxes)
    assert boxes.shape == (count, 4)
    assert boxes.dtype == np.float32
    assert truth.class_id.shape == truth.visible_share.shape == (count,)
    assert truth.class_id.dtype == np.int64
    assert truth.visible_share.dtype == np.float32
    assert ((truth.class_id >= 0) & (truth.class_id < len(CLASS_NAMES))).all()
    assert (truth.visible_share >= MIN_VISIBLE_SHARE).all()
    assert (truth.visible_share <= 1.0).all()
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    sides = np.sort(boxes[:, 2:] - boxes[:, :2], axis=1)
    unit = max(1.0, max(width, height) / 640.0)
    assert (sides[:, 0] >= MIN_SHORT_SIDE_PX * unit).all()
    assert (sides[:, 1] >= MIN_LONG_SIDE_PX * unit).all()


@pytest.mark.parametrize("seed", range(20, 30))
def test_truth_obeys_its_rule(seed: int) -> None:
    scene = StreetScene(seed, 640, 360)
    for index in (0, 200):
        check_truth(scene.render(index)[1], 640, 360)


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_boxes_are_the_bounds_of_the_visible_pixels(seed: int) -> None:
    scene = StreetScene(seed, 480, 270)
    for index in (0, 130):
        _, truth = scene.render(index)
        ids = scene._ids
        expected = set()
        for number in np.unique(ids[ids > 0]):
            rows, columns = np.nonzero(ids == number)
            expected.add(
                (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1),
            )
        assert len(truth.boxes_xyxy) > 3
        for box in truth.boxes_xyxy:
            assert tuple(int(v) for v in box) in expected


def test_boxes_match_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving one moving object out changes the picture inside its box only, and fills it."""
    scene = StreetScene(1, 640, 360)
    index = 75
    paint = canvas.paint
    painted: list[int] = []

    def note(frame, ids, sketch, first_id):  # type: ignore[no-untyped-def]
        painted.append(first_id)
        paint(frame, ids, sketch, first_id)

    monkeypatch.setattr(scene_module, "paint", note)
    full, truth = scene.render(index)
    ids = scene._ids.copy()
    checked = 0
    for first in sorted(set(painted)):
        rows, columns = np.nonzero(ids == first)
        if len(rows) == 0:
            continue
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        match = (truth.boxes_xyxy == np.array(box, np.float32)).all(axis=1)
        if not match.any() or truth.class_id[match][0] in (1, 3, 6):
            continue  # a rider's or a lamp's pixels change as well

        def skip(frame, ids, sketch, first_id, gone=first):  # type: ignore[no-untyped-def]
            if first_id != gone or not sketch.class_ids:
                paint(frame, ids, sketch, first_id)

        monkeypatch.setattr(scene_module, "paint", skip)
        without, _ = scene.render(index)
        changed = np.abs(full.astype(int) - without).max(axis=2) > 24
        rows, columns = np.nonzero(changed)
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(found - np.array(box)).max() <= 3, (box, found)
        checked += 1
    assert checked >= 3


def test_every_class_appears_in_the_show_scene(show: StreetScene) -> None:
    found: set[int] = set()
    for index in range(0, 300, 10):
        found.update(show.render(index)[1].class_id.tolist())
    assert found == set(range(len(CLASS_NAMES)))


def test_every_class_is_common_over_seeds() -> None:
    count = np.zeros(len(CLASS_NAMES))
    frames = 0
    for seed in range(300, 316):
        scene = StreetScene(seed, 640, 360)
        for index in (0, 250):
            count += np.bincount(scene.render(index)[1].class_id, minlength=len(CLASS_NAMES))
            frames += 1
    assert (count / frames >= 0.3).all(), count / frames


def test_things_move_and_never_end() -> None:
    scene = StreetScene(2, 320, 180)
    for index in (10**8, 10**8 + 1, 10**9):
        frame, truth = scene.render(index)
        check_truth(truth, 320, 180)
        assert np.array_equal(frame, StreetScene(2, 320, 180).render(index)[0])
    assert crc(scene, 10**8) != crc(scene, 10**8 + 1)


def test_spec_defaults() -> None:
    assert parse_street_spec("synth:street") == StreetSpec()
    assert StreetSpec() == StreetSpec(1, 1280, 720, 30.0, None)


def test_spec_reads_every_key() -> None:
    spec = parse_street_spec("synth:street?frames=300&seed=7&size=640x360&fps=25")
    assert spec == StreetSpec(7, 640, 360, 25.0, 300)
    assert parse_street_spec("synth:street?fps=29.97").fps == pytest.approx(29.97)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("", "''"),
        ("street", "street"),
        ("file:street", "file"),
        ("synth:", "''"),
        ("synth:beach", "beach"),
        ("synth:Street?seed=1", "Street"),
        ("synth:street?", "'?'"),
        ("synth:street?seed", "seed"),
        ("synth:street?seed=", "seed"),
        ("synth:street?seed=one", "one"),
        ("synth:street?seed=-1", "-1"),
        ("synth:street?seed=1.5", "1.5"),
        ("synth:street?seed= 1", " 1"),
        ("synth:street?seed=1_000", "1_000"),
        ("synth:street?seed=\u0663", "\u0663"),
        ("synth:street?seed=2147483648", "2147483648"),
        ("synth:street?seed=1&seed=2", "twice"),
        ("synth:street?seed=1&", "''"),
        ("synth:street?speed=3", "speed"),
        ("synth:street?size=640", "640"),
        ("synth:street?size=x", "x"),
        ("synth:street?size=640x", "640x"),
        ("synth:street?size=640x360x3", "640x360x3"),
        ("synth:street?size=63x64", "63x64"),
        ("synth:street?size=64x63", "64x63"),
        ("synth:street?size=3841x2160", "3841x2160"),
        ("synth:street?size=3840x2161", "3840x2161"),
        ("synth:street?fps=0", "fps"),
        ("synth:street?fps=241", "241"),
        ("synth:street?fps=nan", "nan"),
        ("synth:street?fps=1e2", "1e2"),
        ("synth:street?frames=0", "frames"),
        ("synth:street?frames=1000000001", "1000000001"),
    ],
)
def test_spec_refuses_malformed_text(spec: str, named: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_street_spec(spec)
    assert named in str(caught.value)
    hint = caught.value.hint or ""
    for word in ("seed", "2147483647", "64x64..3840x2160", "1..240", "1000000000"):
        assert word in hint


@given(
    seed=st.integers(0, 2**31 - 1),
    width=st.integers(64, 3840),
    height=st.integers(64, 2160),
    fps=st.integers(1, 240),
    frames=st.one_of(st.none(), st.integers(1, 10**9)),
)
@settings(max_examples=60, deadline=None)
def test_spec_round_trips(seed: int, width: int, height: int, fps: int, frames: int | None) -> None:
    text = f"synth:street?seed={seed}&size={width}x{height}&fps={fps}"
    if frames is not None:
        text += f"&frames={frames}"
    assert parse_street_spec(text) == StreetSpec(seed, width, height, float(fps), frames)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_spec_never_raises_anything_else(text: str) -> None:
    for spec in (text, f"synth:street?{text}", f"synth:street?size={text}"):
        try:
            parsed = parse_street_spec(spec)
        except SourceError:
            continue
        assert 64 <= parsed.width <= 3840


def test_a_scene_that_goes_on_keeps_no_more_of_those_who_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cast, "_HELD", 20)
    monkeypatch.setattr(cast, "_POSES_HELD", 30)
    made: list[cast.Cast] = []
    begin = cast.Cast.__init__

    def noted(self: cast.Cast, *args: Any) -> None:
        begin(self, *args)
        made.append(self)

    monkeypatch.setattr(cast.Cast, "__init__", noted)
    spec = "synth:street?seed=3&size=192x108&fps=1&frames=60"
    few = pictures_of(spec)
    for one in made:
        assert len(one._outfits) == 20 and len(one._poses) == 30 and len(one._models) <= 20
    monkeypatch.undo()
    assert len(few) == 60
    np.testing.assert_array_equal(few, pictures_of(spec))


def pictures_of(spec: str) -> list[Any]:
    source = kb.open_source(spec)
    return [frame.image for frame in iter(source.read, None)]
