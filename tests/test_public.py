"""The public surface, its cost, and the direction of imports."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import keepbusy

PACKAGE = Path(keepbusy.__file__).parent

# A room, or a file at the top, may import from those that stand before it, never from those behind it.
ORDER = (
    "version",
    "texts",
    "terminal",
    "errors",
    "checks",
    "telemetry",
    "files",
    "drawing",
    "records",
    "values",
    "steps",
    "config",
    "embedded",
    "cache",
    "threads",
    "pictures",
    "postprocess",
    "street",
    "sources",
    "models",
    "device",
    "flow",
    "sinks",
    "evaluate",
    "api",
    "testing",
    "bench",
    "optimize",
    "tune",
    "batch",
    "jobs",
    "serve",
    "plan",
    "cli",
    "__main__",
)

ORDER_INSIDE = {"serve": ("configuration", "supervise", "check", "http", "heard", "reload", "run")}
"""Rooms of rooms, and files beside them, that import in one direction, too."""

MAX_FILES_AT_THE_TOP = 12

MAX_CLASS_LINES = 250
MAX_FUNCTION_LINES = 80
"""Of its body, without the docstring: declarations of options are signatures."""

COMMANDS_IN_TEXTS = (
    r"keepbusy (detect|optimize|tune) [^;:)`]*",
    r"pip install [^(]*",
    r"export the model with a dynamic input \(--dynamic\)",
)
"""What people type at a shell, in texts of the library, and an exporter's own flag."""

OPTIONS_OF_SINKS = ("--save-crop", "--save-txt", "--save", "--json", "--show")
"""What the program's users name sinks with, alone in a text: `SinkSpec.option`."""


def test_the_surface_is_flat_sorted_and_complete() -> None:
    names = keepbusy.__all__
    assert names == sorted(names)
    for name in names:
        assert getattr(keepbusy, name) is not None
    assert set(names) - {"__version__"} == set(keepbusy._HOMES)
    assert dir(keepbusy) == names
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = keepbusy.nonsense


def test_public_modules_are_there_and_say_what_they_are() -> None:
    check = "import keepbusy as kb; print([getattr(kb, n).__name__ for n in sorted(kb._MODULES)], kb.drawing.Style())"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, encoding="utf-8", check=True).stdout
    assert shown.startswith(str([f"keepbusy.{name}" for name in sorted(keepbusy._MODULES)]))
    for name in keepbusy._MODULES:
        module = getattr(keepbusy, name)
        assert len((module.__doc__ or "").split()) > 10
        exported = getattr(module, "__all__", [])
        assert exported == sorted(exported, key=lambda one: (not one.isupper(), not one[0].isupper(), one))
        for one in exported:
            value = getattr(module, one)
            is_documented = not (inspect.isclass(value) or inspect.isfunction(value)) or bool(value.__doc__)
            assert is_documented, f"keepbusy.{name}.{one} has no docstring"


@pytest.mark.parametrize(
    "statement",
    [
        "import keepbusy",
        "import keepbusy.cli.app",
        "from keepbusy.cli.commands import COMMANDS, load_command; list(map(load_command, COMMANDS))",
    ],
)
def test_importing_pulls_in_no_heavy_library(statement: str) -> None:
    check = f"import sys; {statement}; print([n for n in ('openvino', 'cv2', 'av', 'numpy') if n in sys.modules])"
    allowed = subprocess.run([sys.executable, "-c", check], capture_output=True, encoding="utf-8", check=True).stdout
    assert allowed.strip() == "[]"


def imports_of(path: Path) -> set[str]:
    """The first part below keepbusy of everything that a file imports from it; `keepbusy` for the package itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "keepbusy":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add("keepbusy")
        elif isinstance(node, ast.Import):
            found |= {(*a.name.split("."), "keepbusy")[1] for a in node.names if a.name.split(".")[0] == "keepbusy"}
    return found


def test_imports_point_one_way() -> None:
    rank = {name: number for number, name in enumerate(ORDER)}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if place == "__init__":
            continue
        assert place in rank, f"{place} has no place in ORDER: add it, and to docs/concepts/architecture.md"
        for imported in imports_of(path) - {place}:
            assert imported in rank, f"{path.relative_to(PACKAGE)} imports {imported}, which is not in ORDER"
            assert rank[imported] < rank[place], f"{path.relative_to(PACKAGE)} imports {imported} from behind it"


def test_rooms_of_rooms_import_in_one_direction() -> None:
    for room, order in ORDER_INSIDE.items():
        rank = {name: number for number, name in enumerate(order)}
        for path in (PACKAGE / room).rglob("*.py"):
            place = path.relative_to(PACKAGE / room).parts[0].removesuffix(".py")
            if place == "__init__":
                continue
            assert place in rank, f"{room}/{place} has no place in ORDER_INSIDE"
            text = path.read_text(encoding="utf-8")
            for imported in set(re.findall(rf"\bkeepbusy\.{room}\.(\w+)", text)) - {place}:
                assert rank[imported] < rank[place], f"{path.relative_to(PACKAGE)} imports {imported} from behind it"


def test_the_top_of_the_package_shows_the_flow() -> None:
    at_the_top = [path.name for path in PACKAGE.iterdir() if path.is_file()]
    assert len(at_the_top) <= MAX_FILES_AT_THE_TOP, at_the_top
    rooms = [path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("assets", "__pycache__")]
    assert set(rooms) <= set(ORDER)


def test_only_the_engine_talks_to_infer_requests() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name != "engine.py":
            text = path.read_text(encoding="utf-8")
            assert "create_infer_request" not in text and "AsyncInferQueue" not in text, path


def test_files_stay_small() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path.name: size for path, size in sizes.items() if size > 450} == {}


def num_lines(nodes: Sequence[ast.stmt]) -> int:
    return (nodes[-1].end_lineno or 0) - nodes[0].lineno + 1 if nodes else 0


def body_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def test_classes_and_functions_stay_small() -> None:
    classes: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[f"{place}: {node.name}"] = num_lines([node])
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions[f"{place}: {node.name}:{node.lineno}"] = num_lines(body_without_docstring(node))
    assert {name: size for name, size in classes.items() if size > MAX_CLASS_LINES} == {}
    assert {name: size for name, size in functions.items() if size > MAX_FUNCTION_LINES} == {}


def test_paths_of_other_people_are_tested_by_what_never_raises() -> None:
    """`Path.is_file` and the like raise for names that are too long and folders without rights; `os.path` does not."""
    raw = re.compile(r"\.(is_file|is_dir|exists)\(\)")
    assert [path.name for path in PACKAGE.rglob("*.py") if raw.search(path.read_text(encoding="utf-8"))] == []


def texts_of(path: Path) -> list[str]:
    """The texts in a file that are no docstrings, those of an f-string in parts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]


def flags_in(path: Path) -> list[str]:
    texts = [text for text in texts_of(path) if text not in OPTIONS_OF_SINKS]
    return [text for text in texts if re.search(r"(?<![\w-])--[a-z]", re.sub("|".join(COMMANDS_IN_TEXTS), "", text))]


def test_the_library_names_options_as_python_has_them() -> None:
    """As `imgsz`, in backticks, which the program shows as flags. What `bench` reports is the program's own."""
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ("cli", "bench")]
    found = {path.relative_to(PACKAGE).as_posix(): flags_in(path) for path in files}
    assert {place: flags for place, flags in found.items() if flags} == {}


def test_help_does_without_the_names_of_options() -> None:
    check = (
        "import sys; sys.argv = ['keepbusy', '--help']\nfrom keepbusy.cli.app import main\ntry: main()\n"
        "except SystemExit: print('option_names' in ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines()[-1] == "False"
