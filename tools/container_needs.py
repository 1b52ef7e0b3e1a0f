"""What a container needs of what pyproject.toml names, one a line: all but the window, torch (which comes first, of the
right build) and OpenCV's own windows. Extras as arguments; one that there is not is said."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

WINDOW = ("pyside6-essentials", "pyqtgraph", "torch")
INSTEAD = {"opencv-python": "opencv-python-headless"}


def needs(project: dict[str, list[str]], extras: list[str]) -> list[str]:
    """Requirements of a project's table."""
    optional: dict[str, list[str]] = project.get("optional-dependencies", {})  # type: ignore[assignment]
    out = []
    for text in [*project["dependencies"], *(need for extra in extras for need in optional.get(extra, []))]:
        name, rest = re.fullmatch(r"([\w.-]+)(.*)", text).groups()  # type: ignore[union-attr]
        if name.lower() not in WINDOW:
            out.append(INSTEAD.get(name.lower(), name) + rest)
    return out


def main() -> None:
    """Print them."""
    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
    for extra in sys.argv[1:]:
        if extra not in project["optional-dependencies"]:
            print(f"there is no extra {extra!r}: left out", file=sys.stderr)
    print("\n".join(needs(project, sys.argv[1:])))


if __name__ == "__main__":
    main()
