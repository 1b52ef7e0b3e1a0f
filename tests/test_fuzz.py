"""Some hundred mutated files, seeded, through the doors that the commands use: read, or refused in one line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOL = Path(__file__).resolve().parent.parent / "tools" / "fuzz.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("irtrack_fuzz", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["irtrack_fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = load()
FILES = 12
"""Of each kind. `tools/fuzz.py` goes on for as long as one likes."""


@pytest.mark.parametrize("name", list(fuzz.KINDS))
def test_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    good = fuzz.originals(tmp_path, [name])[name]
    if not good:
        pytest.skip("the real file that this kind is cut from is not there")
    found = {f"{name}:{seed}": fuzz.attempt(name, seed, good, tmp_path) for seed in range(FILES)}
    assert not {k: v for k, v in found.items() if v}, "tools/fuzz.py --one KIND:SEED does it again"


@pytest.mark.parametrize("name", list(fuzz.KINDS))
def test_what_is_mutated_is_good(name: str, tmp_path: Path) -> None:
    """A fuzzer of files that are refused as they are would find nothing."""
    if not fuzz.originals(tmp_path, [name])[name]:
        pytest.skip("the real file that this kind is cut from is not there")
    if name in ("manifest.toml", "floats.tif", "real.csq"):
        return  # refused as they are: a model that is not there, counts that are no whole numbers, a begin of a file
    fuzz.KINDS[name].read(tmp_path / name)


def test_mutations_are_seeded() -> None:
    data = bytes(range(256)) * 4
    twice = [fuzz.mutated(data, text, np.random.default_rng(5)) for text in (False, False)]
    assert twice[0] == twice[1] != data
    assert len({fuzz.mutated(data, False, np.random.default_rng(i)) for i in range(50)}) > 45


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, silence and a command that fails without a word."""

    def trip(path: Path) -> None:
        raise KeyError("x")

    for read, say in ((trip, "KeyError"), (fuzz.command("track", "FILE"), "SystemExit")):
        monkeypatch.setitem(fuzz.KINDS, "bad", fuzz.Kind("bad", lambda path: None, read))
        assert say in fuzz.attempt("bad", 1, b"abc", tmp_path)
