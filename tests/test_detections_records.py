"""Detections as records, tables and data frames: one set of words and roundings, the one of the JSON sink."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # type: ignore[import-untyped, unused-ignore]
import pytest

import keepbusy as kb
from keepbusy.records import record, table
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.values.masks import Masks

NAMES = ("person", "bus, red")
BOXES = np.array([[1.004, 2, 11.5, 22.126], [0, 0, 64, 48]], np.float32)


def found(**more: Any) -> kb.Detections:
    confidence, class_id = np.array([0.8765432, 0.25], np.float32), np.array([0, 1], np.int64)
    return kb.Detections(BOXES, confidence, class_id, **{"names": NAMES, "frame_hw": (48, 64), **more})


def masks() -> Masks:
    window = np.full((8, 8), -1, np.float32)
    window[2:6, 2:6] = 1
    return Masks((window, window), np.zeros((2, 2), np.int32), (8.0, 8.0), (0.0, 0.0), BOXES, (48, 64))


KEYPOINTS = np.arange(12, dtype=np.float32).reshape(2, 2, 3) + np.float32(0.123456)
ROTATED = np.array([[6, 12, 10, 20, 0.123456], [32, 24, 64, 48, 0]], np.float32)
TRACKS = np.array([7, 3], np.int64)
EVERYTHING = {"masks": masks(), "keypoints": KEYPOINTS, "boxes_xywhr": ROTATED, "track_id": TRACKS}
CLASSIFIED = kb.Detections.empty(("a", "b", "c", "d", "e", "f"), frame_hw=(48, 64))
CLASSIFIED = kb.Detections(
    CLASSIFIED.boxes_xyxy,
    CLASSIFIED.confidence,
    CLASSIFIED.class_id,
    CLASSIFIED.names,
    probabilities=np.array([0.05, 0.5, 0.15, 0.1, 0.123456, 0.076544], np.float32),
)


def test_detections_as_plain_values() -> None:
    assert found().to_dict() == {
        "width": 64,
        "height": 48,
        "detections": [
            {"class_id": 0, "name": "person", "confidence": 0.87654, "box_xyxy": [1.0, 2.0, 11.5, 22.13]},
            {"class_id": 1, "name": "bus, red", "confidence": 0.25, "box_xyxy": [0.0, 0.0, 64.0, 48.0]},
        ],
    }
    assert found(frame_hw=None).to_dict().keys() == {"detections"}
    assert kb.Detections.empty().to_dict() == {"detections": []}


def test_what_a_task_adds_is_there() -> None:
    one = found(**EVERYTHING).to_dict()["detections"][0]
    assert one["track_id"] == 7
    assert one["box_xywhr"] == [6.0, 12.0, 10.0, 20.0, 0.12346]
    assert one["keypoints"] == [[0.12, 1.12, 2.12346], [3.12, 4.12, 5.12346]]
    assert one["segmentation"] == []  # Its mask lies beside its box.
    outline = np.array(found(**EVERYTHING).to_dict()["detections"][1]["segmentation"][0]).reshape(-1, 2)
    # Between the centres of two cells, one inside and one outside: cells of 8 pixels, of which 2 to 5 are inside.
    assert outline.min(axis=0).tolist() == [16, 16] and outline.max(axis=0).tolist() == [47, 47]
    shares = CLASSIFIED.to_dict()["probabilities"]
    assert [(share["name"], share["probability"]) for share in shares] == [
        ("b", 0.5),
        ("c", 0.15),
        ("e", 0.12346),
        ("d", 0.1),
        ("f", 0.07654),
    ]


def test_detections_without_names_have_the_numbers_of_their_classes() -> None:
    assert [one["name"] for one in found(names=()).to_dict()["detections"]] == ["class 0", "class 1"]


def test_json_text_is_the_same_and_keeps_letters() -> None:
    every = found(**EVERYTHING, names=("человек", "bus"))
    assert json.loads(every.to_json()) == every.to_dict()
    assert "человек" in every.to_json() and "\n" not in every.to_json() and "\n  " in every.to_json(indent=2)
    with pytest.raises(ValueError, match="JSON has no such numbers"):
        kb.Detections(BOXES * np.float32("nan"), every.confidence, every.class_id).to_json()


@pytest.mark.parametrize("detections", [found(), found(**EVERYTHING), CLASSIFIED, kb.Detections.empty()])
@pytest.mark.parametrize("is_live", [False, True])
def test_a_result_is_the_record_that_the_sink_writes(detections: kb.Detections, is_live: bool, tmp_path: Path) -> None:
    frame = kb.Frame(np.zeros((48, 64, 3), np.uint8), 3, 0.1234567, 0, "cam", is_live=is_live)
    result = kb.Result(frame, detections, kb.Timings())
    sink = JsonLines(tmp_path / "out.jsonl")
    sink.write(result)
    sink.close()
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == result.to_dict() == record(result)
    own = detections.to_dict()
    assert {word: result.to_dict()[word] for word in own} == own


def test_a_table_has_a_line_for_each() -> None:
    assert found().to_csv() == (
        "class_id,name,confidence,left,top,right,bottom\n"
        "0,person,0.87654,1.0,2.0,11.5,22.13\n"
        '1,"bus, red",0.25,0.0,0.0,64.0,48.0\n'
    )
    assert found().to_csv(header=False) == found().to_csv().split("\n", 1)[1]
    assert kb.Detections.empty().to_csv() == "class_id,name,confidence,left,top,right,bottom\n"


def test_a_table_has_columns_for_what_a_task_adds() -> None:
    first = next(csv.DictReader(io.StringIO(found(**EVERYTHING).to_csv())))
    assert first["track_id"] == "7" and first["angle"] == "0.12346" and first["centre_x"] == "6.0"
    assert first["keypoint_1_x"] == "3.12" and first["keypoint_1_confidence"] == "5.12346"
    lines = CLASSIFIED.to_csv().splitlines()
    assert lines[:3] == ["class_id,name,probability", "1,b,0.5", "2,c,0.15"] and len(lines) == 7


def test_names_with_line_ends_and_quotes_come_back() -> None:
    odd = found(names=('a "big"\none', "b"))
    assert next(csv.DictReader(io.StringIO(odd.to_csv(), newline="")))["name"] == 'a "big"\none'


def test_a_data_frame_has_a_row_for_each_and_is_not_rounded() -> None:
    every = found(**EVERYTHING)
    frame = every.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == list(table(every)) and len(frame) == 2
    assert frame["confidence"].dtype == np.float32 and frame["class_id"].dtype == np.int64
    np.testing.assert_array_equal(frame[["left", "top", "right", "bottom"]], every.boxes_xyxy)
    np.testing.assert_array_equal(frame["keypoint_1_y"], every.keypoints[:, 1, 1])  # type: ignore[index]
    assert frame["name"].tolist() == list(NAMES)
    frame.loc[:, "left"] = 0
    assert every.boxes_xyxy[0, 0] == np.float32(1.004)


def test_data_frames_of_nothing_and_of_classes() -> None:
    empty = kb.Detections.empty().to_pandas()
    assert len(empty) == 0 and empty.columns[0] == "class_id" and empty["left"].dtype == np.float32
    classes = CLASSIFIED.to_pandas()
    assert classes["class_id"].tolist() == [1, 2, 4, 3, 5, 0] and classes["probability"].iloc[0] == 0.5


def test_without_pandas_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['pandas'] = None\n"
        "import keepbusy as kb\n"
        "try: kb.Detections.empty().to_pandas()\n"
        "except kb.MissingExtraError as error: print(error.message, '|', error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ("to_pandas() needs packages that are not installed | pip install 'keepbusy[pandas]'")


def test_tracks_come_along_to_supervision() -> None:
    theirs = found(track_id=TRACKS).to_supervision()
    assert theirs.tracker_id is not None and theirs.tracker_id.tolist() == [7, 3]
    assert found().to_supervision().tracker_id is None
    assert found(names=()).to_supervision().data["class_name"].tolist() == ["class 0", "class 1"]


def test_records_need_neither_opencv_nor_pandas() -> None:
    program = (
        "import sys, keepbusy as kb\n"
        "kb.Detections.empty().to_dict(); kb.Detections.empty().to_csv(); repr(kb.Detections.empty())\n"
        "print([name for name in ('cv2', 'pandas', 'openvino', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


def test_a_table_of_nothing_has_the_types_of_one_of_something() -> None:
    one = kb.Detections(
        np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",), frame_hw=(10, 10)
    )
    full, empty = one.to_pandas(), one[:0].to_pandas()
    assert isinstance(empty, pandas.DataFrame) and len(empty) == 0
    assert list(full.dtypes) == list(empty.dtypes)


def test_what_is_written_into_theirs_stays_there() -> None:
    own = found(**EVERYTHING)
    before = own.to_dict()
    theirs = own.to_supervision()
    assert theirs.confidence is not None and theirs.class_id is not None
    for array in (theirs.xyxy, theirs.confidence, theirs.class_id):
        array[...] = 0
    points = own.to_supervision_keypoints()
    points.xy[...] = 0
    assert own.to_dict() == before
