"""Links to what a wheel says it needs, from this interpreter's packages, in a new folder: `linked_site.py WHEEL DIR`.

With DIR on its path, an environment has what an installation of the wheel would bring, and nothing else, without
another copy of torch.
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import Parser
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def requirements_of(wheel: Path) -> list[str]:
    """As the wheel states them."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8")).get_all("Requires-Dist", [])


def closure(stated: list[str]) -> dict[str, Distribution]:
    """The packages that are needed, by name. Exits with one line where one is missing or has a version that is not
    allowed.
    """
    found: dict[str, Distribution] = {}
    extras: dict[str, set[str]] = {}
    waiting = [(text, "") for text in stated]
    while waiting:
        text, extra = waiting.pop()
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"the wheel needs {text}, which is not installed here") from None
        if not wanted.specifier.contains(package.version, prereleases=True):
            raise SystemExit(f"the wheel needs {text}, and here is {package.version}")
        new = {"", *wanted.extras} - extras.setdefault(name, set())
        extras[name] |= new
        found[name] = package
        waiting += [(text, extra) for extra in new for text in package.requires or ()]
    return found


def link(package: Distribution, folder: Path) -> None:
    """Link each file and folder that a package has beside others in site-packages."""
    for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        made = folder / top
        if not made.exists():
            made.symlink_to(Path(str(package.locate_file(top))))


def main() -> None:
    """Command line."""
    wheel, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True)
    packages = closure(requirements_of(wheel))
    for package in packages.values():
        link(package, folder)
    print(f"{wheel.name} needs {', '.join(sorted(packages))}")


if __name__ == "__main__":
    main()
