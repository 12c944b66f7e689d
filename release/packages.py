"""The packages of a release: built, and checked as an index and an installer look at them."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from release.index_page import HOME_VARIABLE
from release.repository import ReleaseError

ASSETS = ("street.mp4", "street-yolov5n.xml", "street-yolov5n.bin", "checksums.json")
"""What `keepbusy demo` needs of the wheel."""


def build(root: Path, folder: Path, home: str | None) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it, so that the sdist is known to be whole.

    Args:
        root: The repository.
        folder: Where the packages go; packages that are there are removed before, and nothing else.
        home: The repository's address, for links in the page; None where it is not known.

    Returns:
        The sdist and the wheel.

    Raises:
        ReleaseError: One does not build.
    """
    _make_room(folder)
    _hatch(root, folder, "sdist", home)
    (sdist,) = folder.glob("keepbusy-*.tar.gz")
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked, filter="data")
        (source,) = Path(unpacked).iterdir()
        # The page comes from the sdist's own metadata here.
        _hatch(source, folder, "wheel", None)
    (wheel,) = folder.glob("keepbusy-*.whl")
    return sdist, wheel


def _make_room(folder: Path) -> None:
    """Make the folder of the packages, and take those out that are there.

    Raises:
        ReleaseError: It is something else than a folder of its own, or cannot be written.
    """
    hint = "remove it, or move it away"
    if folder.is_symlink():
        # What it leads to is not ours to empty.
        raise ReleaseError(f"{folder.name} is a link: packages would be removed and written elsewhere", hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for older in (*folder.glob("keepbusy-*.whl"), *folder.glob("keepbusy-*.tar.gz")):
            older.unlink()
    except FileExistsError as error:
        raise ReleaseError(f"{folder.name} is no folder", hint) from error
    except OSError as error:
        name = Path(error.filename or folder).name
        raise ReleaseError(f"{name} cannot be made or removed: {error.strerror}", hint) from error


def _hatch(root: Path, folder: Path, target: str, home: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != HOME_VARIABLE}
    if home is not None:
        environment[HOME_VARIABLE] = home
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder.resolve())]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ReleaseError(f"the {target} does not build:\n{done.stdout}{done.stderr}", "see the lines above")


def check_wheel(wheel: Path, version: str) -> None:
    """Check what no general tool knows of: the version, the embedded files, and links that lead nowhere.

    Raises:
        ReleaseError: One of these is wrong.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (place,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(place))
    if metadata["Version"] != version:
        raise ReleaseError(f"the wheel is of version {metadata['Version']}, not {version}", "build it anew")
    missing = [name for name in ASSETS if f"keepbusy/assets/{name}" not in names]
    if missing:
        raise ReleaseError(f"the wheel has no {', '.join(missing)}", "look at [tool.hatch.build] in pyproject.toml")
    page = metadata.get_payload()
    assert isinstance(page, str)
    broken = re.findall(r"\]\((?!https?:|#)([^()\s]+)\)", page)
    if broken:
        raise ReleaseError(f"links of the page lead nowhere: {', '.join(broken)}", "see release/index_page.py")


def check_with_tools(packages: tuple[Path, Path]) -> None:
    """Check the packages with twine, and the wheel with check-wheel-contents.

    Raises:
        ReleaseError: One of them finds something, or is not installed.
    """
    _, wheel = packages
    _tool("twine", "check", "--strict", *(str(package) for package in packages))
    _tool("check_wheel_contents", str(wheel))


def _tool(module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        found = (done.stdout + done.stderr).strip()
        raise ReleaseError(f"{module} finds:\n{found}", "its tools come with `make dist` and `make release`")
