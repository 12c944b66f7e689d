"""No command writes over what it reads, whatever name leads to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from keepbusy.cli.app import app
from keepbusy.errors import ConfigError
from keepbusy.files import OutputFolder, check_outputs
from tests.build import build_blob_model, square_picture, write_picture, write_video

ALIASES: dict[str, Callable[[Path, Path], Path]] = {}
"""Another way to write a path: (file, an empty folder) → the other name."""


def alias(make: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    ALIASES[make.__name__] = make
    return make


@alias
def same(path: Path, _: Path) -> Path:
    return path


@alias
def roundabout(path: Path, _: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


@alias
def relative(path: Path, _: Path) -> Path:
    return Path(os.path.relpath(path))


@alias
def link(path: Path, folder: Path) -> Path:
    (folder / f"link{path.suffix}").symlink_to(path)
    return folder / f"link{path.suffix}"


@alias
def link_to_link(path: Path, folder: Path) -> Path:
    (folder / "first").symlink_to(path)
    (folder / f"second{path.suffix}").symlink_to(folder / "first")
    return folder / f"second{path.suffix}"


@alias
def hard_link(path: Path, folder: Path) -> Path:
    os.link(path, folder / f"hard{path.suffix}")
    return folder / f"hard{path.suffix}"


@alias
def linked_folder(path: Path, folder: Path) -> Path:
    (folder / "there").symlink_to(path.parent)
    return folder / "there" / path.name


class House:
    """One of each kind of input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("images", "labels", "elsewhere"):
            (folder / name).mkdir()
        self.model = build_blob_model(folder / "model.xml")
        self.weights = folder / "model.bin"
        self.metadata = folder / "metadata.yaml"
        self.metadata.write_text("names: {0: red, 1: green, 2: blue}\n")
        self.video = write_video(folder / "clip.mp4", num_frames=3)
        self.picture = write_picture(folder / "images" / "a.png", square_picture())
        self.label = folder / "labels" / "a.txt"
        self.label.write_text("0 0.5 0.5 0.2 0.2\n")
        self.names = folder / "names.txt"
        self.names.write_text("red\ngreen\nblue\n")
        self.list = folder / "list.txt"
        self.list.write_text("clip.mp4\nimages/a.png\n")
        self.data = folder / "data.yaml"
        self.data.write_text("path: .\nval: images\nnames: [red, green, blue]\n")
        self.baseline = folder / "before.json"
        self.baseline.write_text("{}\n")

    def contents(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


DETECT = ("detect", "{list}", "{video}", "-m", "{model}", "--names", "{names}", "--quiet")
BENCH = ("bench", "{video}", "-m", "{model}", "--baseline", "{baseline}")
TUNE = ("tune", "{video}", "-m", "{model}", "--quiet")
VERIFY = ("verify", "{list}", "-m", "{model}")
OPTIMIZE = ("optimize", "{model}", "--data", "{data}", "--output", "{folder}/made", "--names", "{names}")
EVAL = ("eval", "-m", "{model}", "--data", "{data}", "--names", "{names}")

BY_SOURCE = ("model", "weights", "metadata", "video", "picture", "list")
BY_DATA = ("model", "weights", "metadata", "data", "names", "picture")
COMMANDS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    **{f"detect {option}": (DETECT, option, (*BY_SOURCE, "names")) for option in ("--save", "--json", "--trace")},
    **{
        f"bench {option}": (BENCH, option, ("model", "weights", "metadata", "video", "baseline"))
        for option in ("--json", "--html", "--trace")
    },
    **{f"tune {option}": (TUNE, option, ("model", "weights", "video")) for option in ("--output", "--json")},
    "verify --json": (VERIFY, "--json", BY_SOURCE),
    "optimize --json": (OPTIMIZE, "--json", (*BY_DATA, "label")),
    **{f"eval {option}": (EVAL, option, (*BY_DATA, "label")) for option in ("--json", "--coco-json")},
}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(sorted(COMMANDS)), alias_name=st.sampled_from(sorted(ALIASES)), choice=st.data())
def test_no_inputs_bytes_ever_change(
    tmp_path_factory: pytest.TempPathFactory, command: str, alias_name: str, choice: st.DataObject
) -> None:
    house = House(tmp_path_factory.mktemp("house"))
    words, option, inputs = COMMANDS[command]
    chosen = getattr(house, choice.draw(st.sampled_from(inputs)))
    output = ALIASES[alias_name](chosen, house.folder / "elsewhere")
    before = house.contents()
    arguments = [word.format(**vars(house)) for word in words]
    result = CliRunner().invoke(app, [*arguments, option, str(output)])
    assert isinstance(result.exception, ConfigError), (result.exception, result.output)
    assert option in result.exception.message and "overwritten" in result.exception.message
    assert house.contents() == before


@pytest.mark.parametrize("name", ["here", "link", "hard link"])
def test_a_folder_of_outputs_that_holds_an_input_is_refused(tmp_path: Path, name: str) -> None:
    house = House(tmp_path)
    target = house.picture.parent
    if name != "here":
        target = tmp_path / "out"
        target.mkdir()
        (os.symlink if name == "link" else os.link)(house.picture, target / "a.png")
    before = house.contents()
    for words in (("detect", "images", "-m", "model.xml"), ("verify", "images", "-m", "model.xml")):
        arguments = [str(tmp_path / word) if word in ("images", "model.xml") else word for word in words]
        result = CliRunner().invoke(app, [*arguments, "--save", str(target)])
        assert isinstance(result.exception, ConfigError), (result.exception, result.output)
    assert house.contents() == before


def test_other_files_in_a_folder_of_outputs_do_not_count(tmp_path: Path) -> None:
    house = House(tmp_path)
    folder = OutputFolder(tmp_path, lambda path: path.suffix == ".png")
    check_outputs({"--json": tmp_path / "new.json"}, [house.video, house.picture], folders={"--save": folder})
    deep = OutputFolder(tmp_path, lambda path: path.suffix == ".png", is_deep=True)
    with pytest.raises(ConfigError, match="is an input"):
        check_outputs({}, [house.picture], folders={"--save": deep})


def test_two_outputs_are_not_one_file(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "out.json")
    with pytest.raises(ConfigError, match="name the same file"):
        check_outputs({"--json": tmp_path / "out.json", "--trace": tmp_path / "link.json"}, [])


def test_an_output_that_is_no_input_may_be_replaced(tmp_path: Path) -> None:
    house = House(tmp_path)
    old = tmp_path / "old.jsonl"
    old.write_text("old\n")
    check_outputs({"--json": old}, [house.video])
