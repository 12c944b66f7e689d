"""`python -m release`: build the packages, check them, and tag the commit. Uploading is left to a person.

Everything that can be refused is refused before anything is made: a tree that is not clean, a version that the
changelog does not describe, a tag that exists.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from release.packages import build, check_wheel, check_with_tools
from release.repository import ReleaseError, check_changelog, check_tag, check_tree, git, home_of, version_of

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Make a release of a repository; 1 where it cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m release", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--home", help="the repository's address on the web; default: where it was cloned from")
    parser.add_argument("--no-tag", action="store_true", help="build and check only, in whatever state the tree is")
    given = parser.parse_args(arguments)
    try:
        return _no_tag(root, given.home) if given.no_tag else _release(root, given.home)
    except ReleaseError as error:
        print(f"release: {error}\nhint: {error.hint}", file=sys.stderr)
        return 1


def _no_tag(root: Path, home: str | None) -> int:
    _packages(root, version_of(root), home)
    return 0


def _release(root: Path, given: str | None) -> int:
    version = version_of(root)
    tag = f"v{version}"
    check_tree(root)
    check_changelog(root, version)
    check_tag(root, tag)
    _packages(root, version, home_of(root, given))
    git(root, "tag", "--annotate", tag, "--message", f"keepbusy {version}")
    print(f"tagged {tag}; next: git push origin {tag}, then upload what is in dist/ (python -m twine upload dist/*)")
    return 0


def _packages(root: Path, version: str, home: str | None) -> None:
    packages = build(root, root / "dist", home)
    check_wheel(packages[1], version)
    check_with_tools(packages)
    for package in packages:
        print(f"{package.relative_to(root)}: {package.stat().st_size / 1e6:.1f} MB, checked")


if __name__ == "__main__":
    sys.exit(main())
