"""The tool that trains all models in a given time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from training_sets import GUARD_S, TINY, environment, labelled, marked, started, step_of, wait_for, write_set

sys.path.insert(0, str(ROOT / "tools"))
import train_models

MODELS = ("general", "slim", "nudt", "nuaa", "irstd1k")
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked for in /proc")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny sets with the names and lists that the recipes want."""
    root, rest = tmp_path_factory.mktemp("packed"), slice(0, None)
    first, last = slice(0, 4), slice(4, 6)
    write_set(root / "NUAA-SIRST", [labelled(100 + i) for i in range(6)], {"train_idx427": first, "val_idx427": last})
    for number, (name, split) in enumerate((("NUDT-SIRST", "train_NUDT-SIRST"), ("IRSTD-1k", "train_IRSTD-1K"))):
        write_set(root / name, [labelled(200 + 100 * number + i, side=32) for i in range(64)], {split: rest})
    for number, name in enumerate(("drone", "uav", "hit")):
        write_set(root / name, [labelled(400 + 10 * number + i) for i in range(6)], {"train": first, "val": last})
    for number, name in enumerate(("empty", "rendered")):
        write_set(root / name, [labelled(500 + 10 * number + i) for i in range(3)], {}, masks=False)
    return root


def command(packed: Path, out: Path, *more: str, most: int = 3, pairs: tuple[str, ...] = ()) -> list[str]:
    tool = [sys.executable, str(ROOT / "tools" / "train_models.py"), str(packed), str(out)]
    return [*tool, "--device", "cpu", "--trial", "1", "--most-steps", str(most), *more, "--set", *TINY, *pairs]


def call(*args: object, **more: object) -> subprocess.CompletedProcess[str]:
    words = command(*args, **more)  # type: ignore[arg-type]
    return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=GUARD_S, check=False)


def plan_of(folder: Path) -> dict[str, object]:
    plan: dict[str, object] = json.loads((folder / "plan.json").read_text())
    return plan


def test_all_models_are_trained_shipped_and_one_that_fails_stops_no_other(packed: Path, tmp_path: Path) -> None:
    out, ship = tmp_path / "out", tmp_path / "ship"
    (out / "nudt").mkdir(parents=True)
    (out / "nudt" / "last.pt").write_bytes(b"no checkpoint")
    done = call(packed, out, "--ship", str(ship), pairs=("validate_every=2",))
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("train_models")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("train_models: nudt: ")
    assert "delete it to begin anew" in errors[0]
    trained = [name for name in MODELS if name != "nudt"]
    assert sorted(p.name for p in ship.iterdir()) == sorted(f"{n}.{kind}" for n in trained for kind in ("pt", "csv"))
    for name in trained:
        assert (ship / f"{name}.pt").read_bytes() == (out / name / "best.pt").read_bytes()
        assert [r.split(",")[0] for r in (ship / f"{name}.csv").read_text().splitlines()] == ["step", "2", "3"]
        state = torch.load(ship / f"{name}.pt", weights_only=True)
        assert state["settings"]["steps"] == 3
        assert state["settings"]["base"] == {"general": 16, "slim": 8}.get(name, 4)
        assert state["about"]["teacher"] == (str(out / "general" / "best.pt") if name == "slim" else "")
        assert f"{name:10s}       3" in done.stdout
    assert "nudt             -" in done.stdout

    (out / "nudt" / "last.pt").unlink()
    before = {name: (out / name / "best.pt").stat().st_mtime_ns for name in trained}
    (ship / "nuaa.pt").unlink()
    done = call(packed, out, "--ship", str(ship), pairs=("validate_every=2",))
    assert done.returncode == 0, done.stderr
    assert before == {name: (out / name / "best.pt").stat().st_mtime_ns for name in trained}
    assert torch.load(out / "nudt" / "last.pt", weights_only=True)["step"] == 3
    assert (ship / "nuaa.pt").exists()
    assert "not finished" not in done.stdout


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_ended_goes_on_with_the_steps_once_chosen(
    packed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The tool alone gets the signal: its own processes end with it."""
    out, mark = tmp_path / "out", uuid.uuid4().hex
    pairs = ("save_every=1", "validate_every=100000")
    words = command(packed, out, "--models", "nuaa", "--workers", "1", most=40, pairs=pairs)
    with started(words, mark) as begun:
        wait_for(lambda: step_of(out / "nuaa") > 0 or begun.poll() is not None)
        begun.send_signal(number)
        _, said = begun.communicate(timeout=GUARD_S)
    wait_for(lambda: not marked(mark))
    if number == signal.SIGTERM:
        assert (begun.returncode, said.splitlines()[-1]) == (130, b"train_models: stopped; call again to go on")
        return
    kept = torch.load(out / "nuaa" / "last.pt", weights_only=True)
    assert 0 < kept["step"] < 40
    assert not plan_of(out / "nuaa")["finished"]
    done = call(packed, out, "--models", "nuaa", "--workers", "1", "--minutes", "1", most=3, pairs=pairs)
    assert done.returncode == 0, done.stderr
    ended = torch.load(out / "nuaa" / "last.pt", weights_only=True)
    assert ended["step"] == 40
    assert ended["settings"] == kept["settings"]
    assert plan_of(out / "nuaa")["finished"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--models", "general,nosuch"], "no model 'nosuch'"),
        (["--minutes", "0"], "--minutes, --trial and --most-steps must be above 0"),
        (["--models", ""], "--models names none"),
        (["--set", "stepps=3"], "unknown training setting 'stepps'"),
    ],
)
def test_wrong_words_are_one_line(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert train_models.main([str(packed), str(tmp_path / "out"), *more]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"train_models: {said}")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_time_there_is_no_training(packed: Path, tmp_path: Path) -> None:
    done = call(packed, tmp_path / "out", "--models", "nuaa", "--minutes", "0.0001")
    assert done.returncode == 1
    assert "train_models: nuaa: no step fits into the 0 s that are left: give more --minutes" in done.stderr
    assert not (tmp_path / "out" / "nuaa" / "last.pt").exists()


def test_settings_for_a_gpu(tmp_path: Path) -> None:
    given = train_models.Given(tmp_path, tmp_path, "auto", [], None, None, 1, 1)
    settings = {name: train_models.settings_of(name, train_models.for_gpu(name, given)) for name in MODELS}
    assert {name: s.batch for name, s in settings.items()} == dict.fromkeys(MODELS, 16) | {"irstd1k": 8}
    assert all(s.bf16 for s in settings.values())
    assert all(s.rate == pytest.approx(5e-4 * 8**0.5, rel=0.01) for s in settings.values())  # eight times the recipe's
    asked = replace(given, pairs=["batch=4", "bf16=false"])
    for name in ("general", "irstd1k"):
        own = train_models.settings_of(name, [])
        made = train_models.settings_of(name, [*train_models.for_gpu(name, asked), *asked.pairs])
        assert (made.batch, made.bf16) == (4, False)
        assert made.rate == pytest.approx(own.rate * (4 / own.batch) ** 0.5, rel=0.01)
