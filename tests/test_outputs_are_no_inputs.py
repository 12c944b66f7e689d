"""No command writes over what it reads, whatever name leads to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from keepbusy.cli.app import app
from keepbusy.cli.option_names import with_options
from keepbusy.embedded import embedded_model
from keepbusy.errors import ConfigError
from keepbusy.files.onnx_weights import weight_files
from keepbusy.files.paths import OutputFolder, check_outputs
from tests.build import build_blob_model, square_picture, write_picture, write_video
from tests.graphs import save_with_weights

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
    **{
        f"detect {option}": (DETECT, option, (*BY_SOURCE, "names"))
        for option in ("--save", "--json", "--to", "--trace")
    },
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
    kind = "json:" if option == "--to" else ""
    result = CliRunner().invoke(app, [*arguments, option, f"{kind}{output}"])
    assert isinstance(result.exception, ConfigError), (result.exception, result.output)
    message = with_options(result.exception.message)
    # A name that no output can have is refused before it is looked at whose file it is.
    assert option in message and ("overwritten" in message or "unknown kind of file" in message)
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


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--save", "out", "--json", "out/clip.mp4"), "--json"),
        (("--save", "out", "--json", "out/shot.jpg"), "--json"),
        (("--save", "out", "--json", "other/../out/shot.JPG"), "--json"),
        (("--save-txt", "out", "--json", "out/clip.txt"), "--json"),
        (("--save-crop", "out", "--trace", "out/person/clip_0.jpg"), "`trace`"),
    ],
)
def test_a_file_is_no_file_of_a_folder_of_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", num_frames=2)
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match=f"^{option}: .* is in the folder of --save"):
        CliRunner().invoke(app, ["detect", "clip.mp4", "-q", *words], catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_records_may_lie_beside_pictures(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", num_frames=2)
    out = tmp_path / "out"
    for name in ("detections.json", "metrics.json", "clip.jsonl"):
        words = ["detect", str(tmp_path / "clip.mp4"), "-q", "--save", str(out), "--json", str(out / name)]
        CliRunner().invoke(app, words, catch_exceptions=False)
        assert len((out / name).read_text().splitlines()) == 2
    assert (out / "clip.mp4").is_file()


@pytest.mark.parametrize("option", ["--json", "--coco-json"])
def test_an_evaluations_own_reports_are_no_other_ones(tmp_path: Path, option: str) -> None:
    words = [
        "eval",
        "--data",
        "synth:street?frames=1",
        "--save-dir",
        str(tmp_path / "out"),
        option,
        str(tmp_path / "out" / "metrics.json"),
    ]
    with pytest.raises(ConfigError, match=f"^{option}: .* is in the folder of --save-dir"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_an_output_that_is_no_input_may_be_replaced(tmp_path: Path) -> None:
    house = House(tmp_path)
    old = tmp_path / "old.jsonl"
    old.write_text("old\n")
    check_outputs({"--json": old}, [house.video])


class Town:
    """Folders of inputs, with names that outputs have, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.elsewhere = folder / "data", folder / "elsewhere"
        for name in ("model", "data/images/more", "data/images/red", "data/labels/more", "data/clips", "elsewhere"):
            (folder / name).mkdir(parents=True)
        self.model = build_blob_model(folder / "model" / "model.xml")
        (folder / "model" / "metadata.yaml").write_text("names: {0: red, 1: green, 2: blue}\n")
        pictures = ("a.png", "confusion_matrix.png", "more/c.png", "red/a_0.jpg", "worst-01-a-000000.jpg")
        for name in pictures:
            write_picture(self.data / "images" / name, square_picture())
        for name in ("a", "confusion_matrix", "more/c"):
            (self.data / "labels" / f"{name}.txt").write_text("0 0.33 0.5 0.33 0.5\n")
        # Labels of the picture a would have the name of this list.
        (self.data / "images" / "a.txt").write_text("a.png\nmore/c.png\n")
        (self.data / "clips" / "c.mp4").write_bytes(write_video(folder / "c.mp4", num_frames=3).read_bytes())
        (folder / "c.mp4").unlink()
        (self.data / "val.txt").write_text("images/a.png\nimages/more/c.png\n")
        (self.data / "train.txt").write_text("images/confusion_matrix.png\n")
        (self.data / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [red, green, blue]\n")
        sizes = {"width": 96, "height": 64}
        (self.data / "detections.json").write_text(
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": "images/a.png", **sizes}],
                    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [16, 16, 32, 32]}],
                    "categories": [{"id": 1, "name": "red"}],
                }
            )
        )

    def files(self, *patterns: str) -> dict[Path, bytes]:
        found = {path for pattern in (*patterns, "model/*") for path in self.folder.glob(pattern)}
        return {path: path.read_bytes() for path in found if path.is_file()}


SOURCES: dict[str, tuple[str, ...]] = {
    "data/images": ("data/images/*.png", "data/images/*.jpg"),
    "data/images/**/*.*g": ("data/images/**/*.*g",),
    "data/images/a.txt": ("data/images/a.txt", "data/images/a.png", "data/images/more/c.png"),
    "data/clips": ("data/clips/*",),
}
"""Sources → the files that are read for them."""
BELOW = {"data/images": ("data/images/**/*",), "data": ("data/**/*",), "data/clips": ("data/clips/*",)}
"""Sources of commands for which all files below a folder count."""
SCORED = {
    "data/data.yaml": ("data/*.txt", "data/data.yaml", "data/images/a.png", "data/images/more/*", "data/labels/**/*"),
    "data/detections.json": ("data/detections.json", "data/images/a.png"),
    "data/images": ("data/images/**/*.*g", "data/labels/**/*"),
}

PLACES: dict[str, Callable[[Town, Path], Path]] = {}
"""Folders for outputs: (town, a folder of inputs) → the folder."""


def place(make: Callable[[Town, Path], Path]) -> Callable[[Town, Path], Path]:
    PLACES[make.__name__] = make
    return make


@place
def the_folder(_: Town, inputs: Path) -> Path:
    return inputs


@place
def inside(_: Town, inputs: Path) -> Path:
    return inputs / "more"


@place
def inside_and_new(_: Town, inputs: Path) -> Path:
    return inputs / "new" / "newer"


@place
def above(_: Town, inputs: Path) -> Path:
    return inputs.parent


@place
def beside(_: Town, inputs: Path) -> Path:
    return inputs.parent / "labels"


@place
def relative_to_here(_: Town, inputs: Path) -> Path:
    return Path(os.path.relpath(inputs))


@place
def link_to_it(town: Town, inputs: Path) -> Path:
    (town.elsewhere / "link").symlink_to(inputs, target_is_directory=True)
    return town.elsewhere / "link"


@place
def link_to_what_is_above(town: Town, inputs: Path) -> Path:
    (town.elsewhere / "link").symlink_to(inputs.parent, target_is_directory=True)
    return town.elsewhere / "link" / inputs.name


@place
def links_in_it(town: Town, inputs: Path) -> Path:
    for path in inputs.iterdir():
        (town.elsewhere / path.name).symlink_to(path)
    return town.elsewhere


@place
def hard_links_in_it(town: Town, inputs: Path) -> Path:
    for path in inputs.rglob("*"):
        if path.is_file():
            copy = town.elsewhere / path.relative_to(inputs)
            copy.parent.mkdir(exist_ok=True)
            os.link(path, copy)
    return town.elsewhere


@place
def a_class_is_a_link(town: Town, inputs: Path) -> Path:
    (town.elsewhere / "red").symlink_to(inputs / "red" if (inputs / "red").is_dir() else inputs)
    return town.elsewhere


FOLDER_COMMANDS: dict[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]] = {
    "--save": (("detect", "{source}", "-m", "{model}", "-q", "--save", "{place}"), SOURCES),
    "--save-txt": (("detect", "{source}", "-m", "{model}", "-q", "--exist-ok", "--save-txt", "{place}"), SOURCES),
    "--save-crop": (("detect", "{source}", "-m", "{model}", "-q", "--save-crop", "{place}"), SOURCES),
    "--to images": (("detect", "{source}", "-m", "{model}", "-q", "--to", "-", "--to", "images:{place}"), SOURCES),
    "--to crops": (("detect", "{source}", "-m", "{model}", "-q", "--to", "crops:{place}?on_error=count"), SOURCES),
    "--to labels": (("detect", "{source}", "-m", "{model}", "-q", "--to", "labels:{place}?exist_ok=yes"), SOURCES),
    "verify": (("verify", "{source}", "-m", "{model}", "--frames", "2", "--save", "{place}"), SOURCES),
    "eval": (("eval", "-m", "{model}", "--data", "{source}", "-q", "--save-dir", "{place}"), SCORED),
    "optimize": (("optimize", "{model}", "--data", "{source}", "-q", "--output", "{place}"), SCORED),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(sorted(FOLDER_COMMANDS)), place_name=st.sampled_from(sorted(PLACES)), choice=st.data())
def test_no_folder_of_outputs_costs_an_input(
    tmp_path_factory: pytest.TempPathFactory, command: str, place_name: str, choice: st.DataObject
) -> None:
    town = Town(tmp_path_factory.mktemp("town"))
    words, sources = FOLDER_COMMANDS[command]
    source = choice.draw(st.sampled_from(sorted(sources)))
    inputs = town.folder / choice.draw(st.sampled_from(["data/images", "data/labels", "data/clips", "data", "model"]))
    folder = PLACES[place_name](town, inputs)
    before = town.files(*sources[source])
    values = {"source": town.folder / source, "model": town.model, "place": folder}
    # Once more: what the first run wrote is there now.
    for _ in range(2):
        CliRunner().invoke(app, [word.format(**values) for word in words])
        after = {path: path.read_bytes() if path.exists() else None for path in before}
        assert [path.name for path in before if before[path] != after[path]] == []


FILE_COMMANDS: dict[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]] = {
    "bench": (("bench", "{source}", "-m", "{model}", "--rounds", "1", "--seconds", "0.1", "--json", "{file}"), BELOW),
    "bench --trace": (("bench", "{source}", "-m", "{model}", "--seconds", "0.1", "--trace", "{file}"), BELOW),
    "tune": (("tune", "{source}", "-m", "{model}", "-q", "--budget", "1", "--output", "{file}"), BELOW),
    "optimize": (("optimize", "{model}", "-o", "{made}", "--data", "{source}", "--json", "{file}"), BELOW),
    "eval": (("eval", "-m", "{model}", "--data", "{source}", "-q", "--json", "{file}"), SCORED),
    "verify": (("verify", "{source}", "-m", "{model}", "--json", "{file}"), SOURCES),
    "detect": (("detect", "{source}", "-m", "{model}", "-q", "--json", "{file}"), SOURCES),
    "detect --to": (("detect", "{source}", "-m", "{model}", "-q", "--to", "-", "--to", "json:{file}"), SOURCES),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(sorted(FILE_COMMANDS)), choice=st.data())
def test_a_report_never_replaces_a_file_below_a_source(
    tmp_path_factory: pytest.TempPathFactory, command: str, choice: st.DataObject
) -> None:
    town = Town(tmp_path_factory.mktemp("town"))
    words, sources = FILE_COMMANDS[command]
    source = choice.draw(st.sampled_from(sorted(sources)))
    before = town.files(*sources[source])
    chosen = choice.draw(st.sampled_from(sorted(before)))
    file = ALIASES[choice.draw(st.sampled_from(sorted(ALIASES)))](chosen, town.elsewhere)
    values = {"source": town.folder / source, "model": town.model, "file": file, "made": town.folder / "made"}
    result = CliRunner().invoke(app, [word.format(**values) for word in words])
    assert isinstance(result.exception, ConfigError), (result.exception, result.output)
    assert "overwritten" in result.exception.message
    assert {path: path.read_bytes() for path in before} == before


REPORTS = {
    "bench": (
        ("bench", "{source}", "-m", "{model}", "--rounds", "1", "--seconds", "0.1"),
        {"--json": "r.json", "--html": "r.html", "--plot": "r.svg", "--trace": "t.json"},
    ),
    "tune": (
        ("tune", "{source}", "-m", "{model}", "-q", "--budget", "1"),
        {"--output": "p.yaml", "--json": "t.json", "--plot": "t.svg"},
    ),
    "verify": (("verify", "{source}", "-m", "{model}"), {"--json": "v.json"}),
    "eval": (
        ("eval", "--data", "{source}", "-m", "{model}", "-q"),
        {"--json": "e.json", "--coco-json": "c.json"},
    ),
    "detect": (("detect", "{source}", "-m", "{model}", "-q"), {"--json": "d.json", "--trace": "t.json"}),
}


@pytest.mark.parametrize("place_name", [".", "out"])
@pytest.mark.parametrize("command", REPORTS)
def test_a_report_in_a_folder_of_sources_may_be_written_again(tmp_path: Path, command: str, place_name: str) -> None:
    town = Town(tmp_path)
    source = town.data / "images"
    words, outputs = REPORTS[command]
    arguments = [word.format(source=source, model=town.model) for word in words]
    written = [source / place_name / name for name in outputs.values()]
    for option, path in zip(outputs, written, strict=True):
        arguments += [option, str(path)]
    inputs = town.files("data/**/*")
    for _ in range(2):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (result.exception, result.output)
        assert all(path.stat().st_size for path in written)
        for path in written:
            os.utime(path, (0, 0))
    assert {path: path.read_bytes() for path in inputs} == inputs
    # Written anew by each run; and of what the second one left, an interrupted third one leaves nothing.
    for path in written:
        path.write_bytes(b"")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and all(path.stat().st_mtime for path in written), (result.exception, result.output)


@pytest.mark.parametrize(
    "content",
    [
        '{"info": {}, "images": [], "annotations": []}',
        '{"shapes": [], "imagePath": "a.png"}',
        "train: images\nnames: [red]\n",
        '{"train": "images", "names": ["red"]}',
        '[{"label": "keepbusy"}]',
    ],
)
def test_data_in_a_folder_of_sources_is_not_taken_for_a_report(tmp_path: Path, content: str) -> None:
    town = Town(tmp_path)
    for name in ("own.json", "own.yaml"):
        data = town.data / "images" / name
        data.write_text(content)
        words = ("bench", str(town.data / "images"), "-m", str(town.model), "--rounds", "1", "--seconds", "0.1")
        result = CliRunner().invoke(app, [*words, "--json", str(data)])
        assert isinstance(result.exception, ConfigError), (result.exception, result.output)
        assert data.read_text() == content


def test_lists_that_a_data_set_names_are_inputs(tmp_path: Path) -> None:
    town = Town(tmp_path)
    for words in (("eval", "-m", str(town.model)), ("optimize", str(town.model), "-o", str(tmp_path / "made"))):
        for name in ("train.txt", "val.txt"):
            listed = town.data / name
            content = listed.read_bytes()
            arguments = [*words, "--data", str(town.data / "data.yaml"), "--json", str(listed)]
            result = CliRunner().invoke(app, arguments)
            assert isinstance(result.exception, ConfigError), (result.exception, result.output)
            assert "overwritten" in result.exception.message and listed.read_bytes() == content


def test_a_model_is_optimized_into_a_folder_of_inputs(tmp_path: Path) -> None:
    town = Town(tmp_path)
    for suffix in (".xml", ".bin"):
        (town.data / "images" / f"street{suffix}").write_bytes(embedded_model().with_suffix(suffix).read_bytes())
    before = town.files("data/**/*")
    words = ["optimize", "{images}/street.xml", "--data", "{images}", "-o", "{images}", "-q", "--force"]
    arguments = [word.format(images=town.data / "images") for word in words]
    result = CliRunner().invoke(app, [*arguments, "--limit", "1", "--rounds", "1", "--seconds", "0.1"])
    assert result.exit_code == 0, (result.exception, result.output)
    assert len(list((town.data / "images").glob("street-*.xml"))) == 1
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_optimize_does_not_replace_what_the_model_is_a_link_to(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    contents = {}
    for suffix in (".xml", ".bin"):
        original = tmp_path / f"m-448x640{suffix}"
        original.write_bytes(embedded_model().with_suffix(suffix).read_bytes())
        contents[original] = original.read_bytes()
        link(tmp_path / f"m{suffix}", original)
    (tmp_path / "p").mkdir()
    write_picture(tmp_path / "p" / "a.png", square_picture())
    words = ["optimize", str(tmp_path / "m.xml"), "-o", str(tmp_path), "--data", str(tmp_path / "p"), "--force"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError) and "`folder`" in str(result.exception)
    assert {path: path.read_bytes() for path in contents} == contents


ONNX_COMMANDS = {
    "detect --json": (*DETECT, "--json", "{output}"),
    "bench --json": (*BENCH, "--json", "{output}"),
    "tune --json": (*TUNE, "--json", "{output}"),
    "verify --json": (*VERIFY, "--json", "{output}"),
    "optimize --json": (*OPTIMIZE, "--json", "{output}"),
    "eval --json": (*EVAL, "--json", "{output}"),
}


@pytest.mark.parametrize("name", ["weights_blob", "weights.md", "parts/w.csv", "w" * 200])
@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("command", ONNX_COMMANDS)
def test_weights_of_an_onnx_file_are_inputs_whatever_their_name(
    tmp_path: Path, command: str, name: str, is_folder: bool
) -> None:
    house = House(tmp_path)
    folder = tmp_path / "onnx"
    house.model = save_with_weights(folder / "m.onnx", name)
    weights = folder / name
    before = weights.read_bytes()
    given_model = folder if is_folder and not command.startswith("optimize") else house.model
    words = {**vars(house), "model": given_model, "output": weights}
    result = CliRunner().invoke(app, [word.format(**words) for word in ONNX_COMMANDS[command]])
    assert isinstance(result.exception, ConfigError), (result.exception, result.output)
    assert "--json" in result.exception.message and "overwritten" in result.exception.message
    assert weights.read_bytes() == before


@settings(max_examples=200, deadline=None)
@given(content=st.lists(st.one_of(st.binary(max_size=8), st.just(b"\x0a\x08location\x12"))).map(b"".join))
def test_damaged_names_of_weights_do_no_harm(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    path.write_bytes(content)
    for file in weight_files(path):
        os.path.exists(file)
