"""Profile files: what is written comes back, and what people write into them is checked."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

import keepbusy as kb
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.config import Options
from keepbusy.errors import ConfigError, SinkError
from keepbusy.tune.profile import (
    PROFILE_OPTIONS,
    TUNED_FOR,
    TunedProfile,
    load_profile,
    merge_options,
    origin,
    save_profile,
    warn_of_differences,
)

FULL = TunedProfile(
    options={
        "hint": "latency",
        "nstreams": 2,
        "threads": 3,
        "precision": "bf16",
        "head": "tail",
        "shape": (384, 640),
        "imgsz": (640, 640),
        "nireq": 5,
        "read_threads": 1,
        "preprocess_threads": 2,
        "channel_frames": 1,
        "mode": "async",
    },
    tuned_for={
        "device": "CPU",
        "device_name": "Some CPU",
        "model": "straße.xml",
        "model_fingerprint": "abcdef0123456789",
        "frame_hw": [720, 1280],
        "sources": ["street.mp4"],
        "usable_cores": 1.5,
        "openvino": "2026.4.1",
        "keepbusy": "1.0",
        "time": "2026-11-22T19:00:00+0000",
    },
    measured={"fps": 125.5, "gain_interval": [1.1, 1.2], "is_finished": True},
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "profile.yaml"
    save_profile(FULL, path)
    assert load_profile(path) == FULL
    assert set(FULL.options) == set(PROFILE_OPTIONS) and set(FULL.tuned_for) == set(TUNED_FOR)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Written by `keepbusy tune`") and "straße.xml" in text
    assert yaml.safe_load(text)["options"]["shape"] == [384, 640]
    assert list(path.parent.iterdir()) == [path]
    save_profile(TunedProfile(options={}), path)
    empty = load_profile(path)
    assert empty.options == {} and empty.device is None and empty.differences(FULL.tuned_for) == []


def test_options_are_those_of_the_pipeline(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    assert set(PROFILE_OPTIONS) <= set(get_type_hints(Options))
    path = tmp_path / "p.yaml"
    path.write_text("format: keepbusy-profile\nversion: 1\noptions:\n  nireq: 3\n  nstreams: 1\n  threads: null\n")
    profile = load_profile(path)
    assert profile.options == {"nireq": 3, "nstreams": 1}
    with kb.Pipeline(blob_model, **profile.options) as pipeline:
        assert len(list(pipeline.run(clip, limit=5))) == 5
        assert pipeline.num_slots == 3
    # What the user gives comes first.
    assert merge_options(profile, {"nireq": 1, "conf": 0.5}) == {"nireq": 1, "nstreams": 1, "conf": 0.5}


HEAD = "format: keepbusy-profile\nversion: 1\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "is not a profile"),
        ("- a\n- b\n", "", "is not a profile"),
        ("just words\n", "", "is not a profile"),
        ("format: other\n", "", "is not a profile"),
        ("format: keepbusy-profile\nversion: 9\n", ":2", "unknown version of the format: 9"),
        ("format: keepbusy-profile\n", "", "unknown version of the format: None"),
        (HEAD + "options: {a: [\n", ":4", "is not YAML"),
        (HEAD + "optoins:\n  nireq: 3\n", ":3", "unknown key optoins"),
        (HEAD + "options: [nireq, 3]\n", ":3", "options is not a table"),
        (HEAD + "options:\n  nireq: 3\n  nirek: 4\n", ":5", "unknown key options.nirek"),
        (HEAD + "options:\n  conf: 0.5\n", ":4", "unknown key options.conf"),
        (HEAD + "options:\n  nireq: 0\n", ":4", "nireq: 0 is out of range"),
        (HEAD + "options:\n  nireq: two\n", ":4", "nireq: 'two' is not a whole number"),
        (HEAD + "options:\n  nstreams: 1.5\n", ":4", "nstreams: 1.5 is not a whole number"),
        (HEAD + "options:\n  threads: true\n", ":4", "threads: True is not a whole number"),
        (HEAD + "options:\n\n  # mine\n  hint: fast\n", ":6", "hint: 'fast' is none of the choices"),
        (HEAD + "options:\n  precision: 16\n", ":4", "precision: 16 is not a word"),
        (HEAD + "options:\n  shape: [1, 2, 3]\n", ":4", "is not a word or"),
        (HEAD + "options:\n  shape: [8, 8]\n", ":4", "shape: 8 is out of range"),
        (HEAD + "options:\n  mode: sync\n  nireq: 4\n", ":3", "mode sync has one request"),
        (HEAD + "tuned_for:\n  devise: CPU\n", ":4", "unknown key tuned_for.devise"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert f"{path}{place}: " in caught.value.message and message in caught.value.message
    assert "\n" not in caught.value.message and caught.value.hint


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(tmp_path)
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match="is not text"):
        load_profile(binary)
    with pytest.raises(SinkError, match="cannot be written"):
        save_profile(FULL, binary / "p.yaml")


def test_a_write_that_fails_leaves_the_old_profile(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    save_profile(FULL, path)
    with pytest.raises(yaml.YAMLError):
        save_profile(TunedProfile(options={}, measured={"fps": object()}), path)
    assert load_profile(path) == FULL
    path.unlink()
    path.mkdir()
    with pytest.raises(SinkError, match="cannot be written"):
        save_profile(FULL, path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_others_may_read_a_profile_as_any_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    save_profile(FULL, tmp_path / "p.yaml")
    assert (tmp_path / "p.yaml").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_another_place_than_it_was_tuned_for_is_told(
    tmp_path: Path, blob_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = origin(blob_model, "CPU", ["a/b/clip.mp4"], device_name="My CPU", frame_hw=(64, 96), usable_cores=2.0)
    assert here["sources"] == ["clip.mp4"] and set(here) == set(TUNED_FOR)
    path = tmp_path / "p.yaml"
    save_profile(TunedProfile(options={}, tuned_for=here), path)
    profile = load_profile(path)
    assert profile.device == "CPU"
    # Time, sources and keepbusy's version may be others; what is not known is not compared.
    assert profile.differences({**here, "time": "later", "sources": ["x"], "keepbusy": "9"}) == []
    assert profile.differences({}) == []
    other: dict[str, Any] = {**here, "device": "GPU", "frame_hw": (480, 640), "openvino": "2025.0"}
    assert profile.differences(other) == [
        "tuned for device CPU, and this is GPU",
        "tuned for frame size 64x96, and this is 480x640",
        f"tuned for OpenVINO {here['openvino']}, and this is 2025.0",
    ]
    changed = {**here, "model_fingerprint": "0123456789ab"}
    assert "tuned for model blob.xml" in profile.differences(changed)[0]
    with caplog.at_level(logging.WARNING, logger="keepbusy"):
        warn_of_differences(profile, path, other)
    assert (
        len(caplog.messages) == 3 and "tuned for device CPU" in caplog.messages[0] and str(path) in caplog.messages[0]
    )


def test_a_model_is_known_by_its_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a.xml", tmp_path / "b.xml"
    for path in (first, second):
        path.write_text("<net/>")
        path.with_suffix(".bin").write_bytes(b"weights")
    assert model_fingerprint(first) == model_fingerprint(second)
    second.with_suffix(".bin").write_bytes(b"others")
    assert model_fingerprint(first) != model_fingerprint(second)
