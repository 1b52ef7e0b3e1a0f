"""The rules of the house, checked by tools."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports"]], ids=" ".join
)
def test_tools(command: list[str]) -> None:
    tool = SCRIPTS / command[0]
    if not tool.exists():
        pytest.skip(f"{command[0]} is not installed: pip install -e '.[dev]'")
    done = subprocess.run([str(tool), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tracker_and_capture_do_without_torch() -> None:
    code = "import sys, irtrack.track.tracker, irtrack.capture, irtrack.sinks.text; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_no_module_is_reached_by_its_own_imports() -> None:
    """Circles of imports, those inside functions too."""
    grimp = pytest.importorskip("grimp", reason="import-linter is not installed: pip install -e '.[dev]'")
    graph = grimp.build_graph("irtrack")
    left = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    while free := [m for m, imported in left.items() if not imported & left.keys()]:
        for module in free:
            del left[module]
    assert not left, "these import each other"


def test_a_wheel_finds_its_weights_and_sample(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--quiet", "-w", str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    wheel = next(tmp_path.glob("irtrack-*.whl"))
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import irtrack; from irtrack.detect.manifest import models_folder; "
        "from irtrack.detect.weights import load_weights; "
        "print(irtrack.__file__); print(models_folder()); print(load_weights('datransnet-s').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    package, models, name = done.stdout.split()
    assert package.startswith(str(tmp_path / "site"))
    assert models == str(tmp_path / "site" / "irtrack" / "_models")
    assert name == "datransnet-s"
    assert (tmp_path / "site" / "irtrack" / "_assets" / "sample.mkv").exists()
