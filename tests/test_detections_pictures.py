"""Detections drawn, cut out and saved, on pictures as people have them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

import keepbusy as kb
from keepbusy import drawing
from keepbusy.drawing import write
from keepbusy.sinks.draw import annotate
from keepbusy.sinks.images import ImageFile
from keepbusy.values.masks import Masks

HEIGHT, WIDTH = 120, 160
NAMES = ("person", "bus")
BOXES = np.array([[20.4, 30.2, 60.6, 90.5], [80, 10, 150, 110]], np.float32)


def picture(channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(channels).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)


def found(**more: Any) -> kb.Detections:
    confidence, class_id = np.array([0.9, 0.5], np.float32), np.array([0, 1])
    return kb.Detections(BOXES, confidence, class_id, NAMES, **{"frame_hw": (HEIGHT, WIDTH), **more})


def masks() -> Masks:
    windows = tuple(np.random.default_rng(seed).normal(size=(15, 20)).astype(np.float32) for seed in range(2))
    return Masks(windows, np.zeros((2, 2), np.int32), (8.0, 8.0), (0.0, 0.0), BOXES, (HEIGHT, WIDTH))


def result(detections: kb.Detections) -> kb.Result:
    return kb.Result(kb.Frame(picture(), 0, 0.0, 0, "a.jpg"), detections, kb.Timings())


SHARES = np.array([0.25, 0.75], np.float32)
EMPTY = kb.Detections.empty(NAMES)
TASKS = {
    "boxes": found(),
    "masks": found(masks=masks()),
    "keypoints": found(keypoints=np.full((2, 17, 3), (50, 60, 0.9), np.float32)),
    "rotated": found(boxes_xywhr=np.array([[40, 60, 40, 20, 0.4], [115, 60, 60, 90, 0.1]], np.float32)),
    "classes": kb.Detections(EMPTY.boxes_xyxy, EMPTY.confidence, EMPTY.class_id, NAMES, probabilities=SHARES),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_plot_is_what_the_sinks_draw_and_leaves_the_picture_as_it_is(task: str) -> None:
    given, before = picture(), picture()
    plotted = TASKS[task].plot(given)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(plotted, annotate(result(TASKS[task])))
    assert (plotted != given).any() and plotted.dtype == np.uint8 and plotted.flags.c_contiguous
    np.testing.assert_array_equal(result(TASKS[task]).plot(), plotted)


def test_of_nothing_the_plot_is_a_copy() -> None:
    given = picture()
    plotted = kb.Detections.empty().plot(given)
    np.testing.assert_array_equal(plotted, given)
    assert not np.shares_memory(plotted, given)


def test_labels_confidences_and_lines_can_be_chosen() -> None:
    plain = found().plot(picture())
    no_labels, no_conf, wide = (
        found().plot(picture(), labels=False),
        found().plot(picture(), conf=False),
        found().plot(picture(), line_width=9),
    )
    num_changed = [int((one != picture()).any(axis=2).sum()) for one in (no_labels, no_conf, plain, wide)]
    assert num_changed == sorted(num_changed) and len(set(num_changed)) == 4
    np.testing.assert_array_equal(
        no_conf, annotate(result(found()), style=drawing.Style(has_confidence=False, has_throughput=False))
    )


@pytest.mark.parametrize("line_width", [0, 101, 2.0, True, "2"])
def test_the_width_of_lines_is_a_number_of_pixels(line_width: Any) -> None:
    with pytest.raises(kb.ConfigError, match=r"^line_width: "):
        found().plot(picture(), line_width=line_width)


def test_grey_and_transparent_pictures_are_drawn_in_colour() -> None:
    grey, transparent = picture(1), picture(4)
    for given in (grey, grey[:, :, 0]):
        np.testing.assert_array_equal(found().plot(given), found().plot(np.repeat(grey, 3, axis=2)))
    np.testing.assert_array_equal(found().plot(transparent), found().plot(np.ascontiguousarray(transparent[:, :, :3])))
    # A view with the colours the other way round, as people make it of RGB.
    np.testing.assert_array_equal(
        found().plot(picture()[..., ::-1]), found().plot(np.ascontiguousarray(picture()[..., ::-1]))
    )


REFUSED: list[tuple[Any, str, str]] = [
    ("photo.jpg", "str is no array of pixels", "cv2.imread(path)"),
    (Path("photo.jpg"), "is no array of pixels", "cv2.imread(path)"),
    (b"\xff\xd8", "bytes is no array of pixels", "cv2.imread(path)"),
    (None, "NoneType is no array of pixels", "uint8 (H, W, 3), in the order BGR"),
    ([[0]], "list is no array of pixels", "uint8 (H, W, 3), in the order BGR"),
    (PilImage.new("RGB", (WIDTH, HEIGHT)), "Image is no array of pixels", "convert('RGB'))[..., ::-1]"),
    (picture().astype(np.float32), "the picture is an array of float32", "astype(numpy.uint8)"),
    (picture(2), f"an array of the shape ({HEIGHT}, {WIDTH}, 2) is no picture", "(H, W, 3) in the order BGR"),
    (picture()[None], "is no picture", "give one picture"),
    (picture()[:0], "is no picture", "give one picture"),
    (np.zeros(5, np.uint8), "an array of the shape (5,) is no picture", "give one picture"),
    (picture()[:100], "the picture is 160x100, the frame of these detections 160x120", "before it was resized or cut"),
]


@pytest.mark.parametrize(("image", "message", "hint"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_what_is_no_picture_of_them_is_refused(image: Any, message: str, hint: str, tmp_path: Path) -> None:
    calls: dict[str, Callable[[], object]] = {
        "plot": lambda: found().plot(image),
        "crops": lambda: found().crops(image),
        "save": lambda: found().save(tmp_path / "out.jpg", image),
    }
    for name, call in calls.items():
        with pytest.raises(kb.ConfigError) as caught:
            call()
        assert caught.value.message.startswith(f"{name}: ")
        assert message in caught.value.message and hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_the_hint_for_pil_pictures_works() -> None:
    pil = PilImage.fromarray(np.ascontiguousarray(picture()[..., ::-1]))
    np.testing.assert_array_equal(found().plot(np.asarray(pil.convert("RGB"))[..., ::-1]), found().plot(picture()))


def test_without_a_known_size_any_picture_is_taken() -> None:
    large = np.zeros((400, 500, 3), np.uint8)
    assert found(frame_hw=None).plot(large).shape == (400, 500, 3)


def test_crops_are_what_the_boxes_cover() -> None:
    given = picture()
    first, second = found().crops(given)
    np.testing.assert_array_equal(first, given[30:91, 20:61])
    np.testing.assert_array_equal(second, given[10:110, 80:150])
    assert not np.shares_memory(first, given)
    assert [one.shape for one in found().crops(picture(1)[:, :, 0])] == [(61, 41), (100, 70)]
    assert kb.Detections.empty().crops(given) == []


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((5, 5, 5, 5), (1, 1)),
        ((WIDTH, HEIGHT, WIDTH, HEIGHT), (1, 1)),
        ((-50, -50, -10, -10), (1, 1)),
        ((-50, -50, 10, 20), (20, 10)),
        ((150, 110, 900, 900), (10, 10)),
        ((900, 900, 950, 950), (1, 1)),
    ],
)
def test_odd_boxes_are_one_pixel_at_least(box: tuple[int, ...], shape: tuple[int, int]) -> None:
    one = kb.Detections(np.array([box], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert one.crops(picture())[0].shape == (*shape, 3)


@pytest.mark.parametrize("name", ["out.png", "new/folder/out.PNG"])
def test_a_saved_picture_is_the_plot(name: str, tmp_path: Path) -> None:
    place = found().save(tmp_path / name, picture())
    assert place == tmp_path / name
    np.testing.assert_array_equal(cv2.imread(str(place)), found().plot(picture()))


def test_a_saved_picture_is_the_one_that_the_sink_writes(tmp_path: Path) -> None:
    item = result(found())
    sink = ImageFile(tmp_path / "sink.jpg")
    sink.write(item)
    sink.close()
    item.save(str(tmp_path / "own.jpg"))
    assert (tmp_path / "own.jpg").read_bytes() == (tmp_path / "sink.jpg").read_bytes()


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    place = tmp_path / "out.jpg"
    place.write_bytes(b"mine")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for path in (place, tmp_path / "link.jpg"):
        with pytest.raises(kb.SinkError, match="exists already") as caught:
            found().save(path, picture())
        assert "`exist_ok=True`" in (caught.value.hint or "")
    assert place.read_bytes() == b"mine" and not (tmp_path / "nowhere.jpg").exists()
    found().save(place, picture(), exist_ok=True)
    assert place.read_bytes()[:2] == b"\xff\xd8"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".keepbusy")]


PLACES: list[tuple[str, str, str]] = [
    ("out", "its ending says no format", ".jpg, .png or .webp"),
    ("out.nonsense", ".nonsense is no format that can be written", ".jpg, .png or .webp"),
    ("out.json", "save writes pictures, and .json is none", "`to_json()`"),
    ("out.csv", "save writes pictures, and .csv is none", "`to_csv()`"),
    ("", "is a folder, not a file", "out.jpg"),
    ("file.jpg/out.jpg", "cannot be made", "a folder that you may write to"),
    ("new/out.pgm", ".pgm pictures are grey, and what is drawn has colours", ".ppm, .png or .jpg"),
    ("new/out.PBM", ".pbm pictures are grey, and what is drawn has colours", ".ppm, .png or .jpg"),
    ("new/out.jpg/", "names a folder, and one file is written", "leave out the end: "),
    ("new/out.jpg/.", "names a folder, and one file is written", "leave out the end: "),
    ("new/..", "names a folder, and one file is written", "add a file name to it: "),
]


@pytest.mark.parametrize(("name", "message", "hint"), PLACES)
def test_where_no_picture_can_be_is_said(name: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "file.jpg").touch()
    with pytest.raises(kb.SinkError) as caught:
        found().save(f"{tmp_path}/{name}", picture())
    assert message in caught.value.message and hint in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["file.jpg"]


@pytest.mark.parametrize("path", [None, 3, b"out.jpg", "", picture()[:1, :1]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(kb.ConfigError, match=r"^save: .* is no path$"):
        found().save(path, picture())


class Own:
    """Something to draw that is none of keepbusy's."""

    boxes_xyxy = BOXES
    confidence = np.array([0.9, 0.5], np.float32)
    class_id = np.array([0, 1])
    names = NAMES
    masks = keypoints = boxes_xyxyxyxy = probabilities = None

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        return []


def test_the_public_drawing_draws_what_has_the_attributes() -> None:
    canvas = drawing.as_bgr("draw", picture())
    drawing.draw(canvas, Own(), throughput_fps=None)
    np.testing.assert_array_equal(canvas, found().plot(picture()))


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "late.png"
    encode = write.encode_picture

    def encode_late(*arguments: Any) -> bytes:
        place.write_text("somebody else's")
        return encode(*arguments)

    monkeypatch.setattr(write, "encode_picture", encode_late)
    with pytest.raises(kb.SinkError, match="exists already"):
        found().save(place, picture())
    assert place.read_text() == "somebody else's" and len(list(tmp_path.iterdir())) == 1
    found().save(place, picture(), exist_ok=True)
    assert cv2.imread(str(place)) is not None


def test_a_zero_byte_is_no_part_of_a_path(tmp_path: Path) -> None:
    with pytest.raises(kb.ConfigError, match="zero byte"):
        found().save(f"{tmp_path}/a\0.jpg", picture())


def test_a_class_may_be_a_number_in_an_array() -> None:
    assert found().where(classes=np.array(1)).class_id.tolist() == [1]


TOO_LARGE = [
    (".jpg", (8, 65_501), "at most 65,500", ".png"),
    (".JPEG", (65_501, 8), "at most 65,500", ".png"),
    (".webp", (8, 16_384), "at most 16,383", ".png"),
    (".gif", (8, 65_536), "at most 65,535", ".png"),
    (".avif", (8, 65_537), "at most 65,536", ".png"),
    (".jp2", (31, 200), "at least 32", ".png"),
    (".png", (1, 1_000_001), "at most 1,000,000", ".tif"),
]


@pytest.mark.parametrize(("ending", "size_hw", "limit", "other"), TOO_LARGE)
def test_a_picture_that_does_not_fit_into_its_format_is_one_line_and_no_file(
    ending: str,
    size_hw: tuple[int, int],
    limit: str,
    other: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    large = np.zeros((*size_hw, 3), np.uint8)
    with pytest.raises(kb.SinkError, match=f"each side must have {limit} pixels") as caught:
        kb.Detections.empty().save(tmp_path / f"new/out{ending}", large)
    assert caught.value.hint == f"use {other}"
    with pytest.raises(kb.SinkError, match=f"out{ending}: a picture of {size_hw[1]}x{size_hw[0]} cannot be a"):
        drawing.write_image(tmp_path / f"out{ending}", large)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")
    # One pixel less is written.
    step = -1 if "most" in limit else 1
    fitting = tuple(side + step if side in (max(size_hw), 31) and side > 8 else side for side in size_hw)
    if ending != ".avif":  # Minutes of an encoder's time.
        kb.Detections.empty().save(tmp_path / f"out{ending}", np.zeros((*fitting, 3), np.uint8))


def test_a_home_folder_that_nobody_has_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        kb.SinkError, match=r"^~no-such-user/out\.jpg: there is no home folder ~no-such-user$"
    ) as caught:
        found().save("~no-such-user/out.jpg", picture())
    assert "./~no-such-user/out.jpg" in (caught.value.hint or "") and list(tmp_path.iterdir()) == []
    assert found().save("./~no-such-user/out.jpg", picture()).exists()
    assert found().save("~no-such-user/other.jpg", picture()).exists(), "the folder is there, and is meant itself"
    assert found().save("~backup.jpg", picture()).exists(), "a file's name may begin so"


ODD = (np.nan, np.inf, -np.inf)


@pytest.mark.parametrize("odd", ODD)
def test_numbers_that_are_none_are_one_clear_error(odd: float, tmp_path: Path) -> None:
    boxes = BOXES.copy()
    boxes[1, 2] = odd
    points = np.full((2, 17, 3), (50, 60, 0.9), np.float32)
    points[1, 3, 0] = odd
    rotated = np.array([[40, 60, 40, 20, 0.4], [115, odd, 60, 90, 0.1]], np.float32)
    with np.errstate(all="ignore"):
        cases: dict[str, kb.Detections] = {
            "boxes_xyxy": dataclasses.replace(found(), boxes_xyxy=boxes),
            "keypoints": found(keypoints=points),
            "boxes_xyxyxyxy": found(boxes_xywhr=rotated),
            "probabilities": dataclasses.replace(TASKS["classes"], probabilities=np.array([0.1, odd], np.float32)),
        }
        for name, one in cases.items():
            calls: list[Callable[[], object]] = [
                partial(one.plot, picture()),
                partial(one.save, tmp_path / "new/out.jpg", picture()),
                result(one).plot,
            ]
            calls += [partial(one.crops, picture()), one.to_json] if name == "boxes_xyxy" else []
            for call in calls:
                with pytest.raises(kb.ConfigError, match="not finite") as caught:
                    call()
                assert "\n" not in caught.value.message and caught.value.hint
            with pytest.raises(kb.ConfigError, match=f"^{name}: row "):
                one.plot(picture())
    assert list(tmp_path.iterdir()) == []


def test_far_corners_are_drawn_and_cut_as_those_outside() -> None:
    far, near = (np.array([[20, 30, end, end]], np.float32) for end in (1e30, 5000))
    one = [
        kb.Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), NAMES, frame_hw=(HEIGHT, WIDTH))
        for box in (far, near)
    ]
    np.testing.assert_array_equal(one[0].plot(picture()), one[1].plot(picture()))
    np.testing.assert_array_equal(one[0].crops(picture())[0], one[1].crops(picture())[0])
    window = (np.ones((15, 20), np.float32),)
    corner = np.zeros((1, 2), np.int32)
    masks = [Masks(window, corner, (8.0, 8.0), (0.0, 0.0), box, (HEIGHT, WIDTH)) for box in (far, near)]
    np.testing.assert_array_equal(masks[0].to_array(), masks[1].to_array())


MISUSED: dict[str, tuple[Callable[[Any, Any], Any], str, str]] = {
    "to_csv(path)": (lambda f, r: f.to_csv("a.csv"), "gives the text, and writes no file", "Path('a.csv').write_text("),
    "to_json(path)": (lambda f, r: f.to_json("a.json"), "gives the text, and writes no file", "Path('a.json').write"),
    "to_json(2.5)": (lambda f, r: f.to_json(2.5), "indent: 2.5 is no number of spaces", "give a number"),
    "to_dict(path)": (lambda f, r: f.to_dict("a.json"), "gives plain values", "found.to_json()"),
    "to_pandas(path)": (lambda f, r: f.to_pandas(Path("a.csv")), "gives the table", "to_pandas().to_csv('a.csv')"),
    "plot()": (lambda f, r: f.plot(), "needs the picture", "found.plot(image)"),
    "plot(img=)": (lambda f, r: f.plot(img=picture()), "no argument `img`", "called `image`"),
    "plot(path)": (lambda f, r: f.plot("a.jpg"), "str is no array of pixels", "save(path, image)"),
    "crops()": (lambda f, r: f.crops(), "needs the picture", "found.crops(image)"),
    "save(path)": (lambda f, r: f.save("a.jpg"), "needs the picture", "found.save('a.jpg', image)"),
    "save(image)": (lambda f, r: f.save(picture()), "needs a path", "found.save('out.jpg', image)"),
    "save(image, path)": (
        lambda f, r: f.save(picture(), "a.jpg"),
        "the path comes first",
        "found.save('a.jpg', image)",
    ),
    "save(path, path)": (lambda f, r: f.save("a.jpg", "bus.jpg"), "str is no array of pixels", "cv2.imread(path)"),
    "save(filename=)": (lambda f, r: f.save(filename="a.jpg", image=picture()), "no argument `filename`", "`path`"),
    "result.plot(path)": (lambda f, r: r.plot("a.jpg"), "writes no file", "result.save('a.jpg')"),
    "result.plot(image)": (lambda f, r: r.plot(picture()), "has its own picture", "detections.plot(image)"),
    "result.crops(path)": (lambda f, r: r.crops("out"), "writes no files", "keepbusy.open_sink('crops:out/')"),
    "result.crops(image)": (lambda f, r: r.crops(picture()), "has its own picture", "detections.crops(image)"),
    "result.save()": (lambda f, r: r.save(), "needs a path", "save('out.jpg')"),
    "result.save(image)": (lambda f, r: r.save(picture()), "an array is no path", "save('out.jpg')"),
    "result.save(path, image)": (lambda f, r: r.save("a.jpg", picture()), "its own picture", "write save('a.jpg')"),
    "where(class)": (lambda f, r: f.where("person"), "its arguments have names", "where(classes='person')"),
    "where(conf)": (lambda f, r: f.where(0.5), "its arguments have names", "where(conf=0.5)"),
    "where(confidence=)": (lambda f, r: f.where(confidence=0.5), "no argument `confidence`", "called `conf`"),
}


@pytest.mark.parametrize("call", MISUSED)
def test_a_call_with_other_arguments_is_answered_by_one_sentence_and_a_hint(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    use, message, hint = MISUSED[call]
    with pytest.raises(kb.ConfigError) as caught:
        use(found(), result(found()))
    name = call.partition("(")[0].removeprefix("result.")
    assert caught.value.message.startswith(f"{name}: ") and message in caught.value.message
    assert "\n" not in caught.value.message and hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_stay_pythons_own() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        found().plot(picture(), nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        found().to_dict(1)  # type: ignore[call-arg]
    assert inspect.signature(kb.Detections.plot).parameters["line_width"].default is None
