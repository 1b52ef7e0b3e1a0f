"""Teaching: what was said of tracks becomes masks, weights learn from them, and before and after are compared."""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_window, seen_whole
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from test_session import SETTINGS, Bright, truth
from test_sessionfile import Desk
from test_sessionfile import desk as desk
from test_sessionfile import desks as desks
from torch import Tensor, nn

from irtrack.cli import main
from irtrack.core import IrtrackError, Remarks, SinkError
from irtrack.detect.inference import prepare
from irtrack.detect.weights import load_weights
from irtrack.gui.dialogs import TextDialog
from irtrack.gui.teaching import table_of
from irtrack.gui.window import MainWindow
from irtrack.session.byhand import Click
from irtrack.session.learning import Lesson
from irtrack.session.loading import Loader
from irtrack.session.reading import read_session
from irtrack.stopping import Stop
from irtrack.train.data import load_dataset
from irtrack.train.loop import atomic_save
from irtrack.train.retained import ALL, KINDS, PICTURES, compare, rendered, said, shipped
from irtrack.train.teach import samples_of, write_set

TEXT = "sky,width=96,height=80,frames=40,targets=1,scr=12,seed=5,speed_px_s=30"


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """A recording with one target, whose places are known."""
    assert main(["simulate", TEXT, "--out", str(tmp_path / "flight.mkv")]) == 0
    return tmp_path / "flight.mkv"


def save(desk: Desk) -> None:
    write = desk.keeping.unsaved()
    assert write is not None
    write()


def judged_session(desk: Desk, flight: Path) -> Path:
    """A session in which the target was judged true, and what else was believed false."""
    path, there = flight.with_suffix(".irtrack"), truth(f"sim:{TEXT}")
    desk.seen_whole(str(flight))
    edits = desk.session.edits.value
    for track in desk.session.lives():
        places = desk.session.store.places(track)
        away = np.median([np.hypot(x - there[f][0], y - there[f][1]) for f, (x, y) in places.items()])
        edits = edits.judged(track, "drone" if away < 3 else "false")
    assert "drone" in edits.verdicts.values()
    desk.session.edits.edit(edits)
    desk.keeping.save_as(path)
    save(desk)
    return path


def test_verdicts_become_masks(desk: Desk, flight: Path, tmp_path: Path) -> None:
    kept, there = read_session(judged_session(desk, flight)), truth(f"sim:{TEXT}")
    seen = 0
    for sample in samples_of(kept):
        x, y = there[int(sample.name)]
        rows, columns = np.nonzero(sample.mask)
        assert sample.ignore is not None
        assert not (sample.mask & sample.ignore).any()
        if len(rows):
            seen += 1
            assert np.hypot(columns.mean() - x, rows.mean() - y) < 1.5
            assert len(rows) <= 25
    assert seen >= 20
    counts = write_set(kept, tmp_path / "set")
    parts = {part: load_dataset(tmp_path / "set" / part) for part in ("train", "choose", "held")}
    assert counts == {part: len(some) for part, some in parts.items()}
    names = [s.name for some in parts.values() for s in some]
    assert names == sorted(names)  # what is compared on is later than what is learned from


def test_what_nobody_judged_is_left_open_and_what_is_false_is_background(desk: Desk, flight: Path) -> None:
    path = judged_session(desk, flight)
    kept = read_session(path)
    some = list(samples_of(kept))
    (true,) = (t for t, verdict in kept.edits.verdicts.items() if verdict == "drone")
    desk.session.edits.edit(desk.session.edits.value.judged(true, "false"))
    save(desk)
    there = truth(f"sim:{TEXT}")
    for sample, before in zip(samples_of(read_session(path)), some, strict=False):
        x, y = (round(v) for v in there[int(sample.name)])
        assert not sample.mask.any()
        if before.mask.any() and sample.name == before.name:
            assert sample.ignore is not None
            assert not sample.ignore[y, x]  # known to be nothing
    edits = desk.session.edits.value.judged(true, "")
    made = edits.added
    assert not made
    desk.session.edits.edit(edits)
    added = desk.session.add_target(Click(5, *there[5]), Click(30, *there[30]))
    save(desk)
    kept = read_session(path)
    assert kept.edits.by_hand == {added}
    targets = [s for s in samples_of(kept) if s.mask.any()]
    assert targets  # added by hand is judged


def test_learning_and_comparing(
    desk: Desk,
    flight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The real network for a few steps; whether it got better is for the figures to say, not for this test."""
    path, out = judged_session(desk, flight), tmp_path / "learnt"
    words = ["teach", str(path), "--out", str(out), "--weights", "datransnet-s", "--steps", "2"]
    assert main([*words, "--set", "batch=1", "crop=64"]) == 0
    said = capsys.readouterr().out
    assert "frames that it did not see" in said
    assert "on scenes that irtrack renders" in said
    assert re.search(r"NUAA-SIRST:val\S+ +96\.91 +0\.20", said), "the figures that the model came with"
    compared = json.loads((out / "compared.json").read_text())
    assert compared["before"].keys() == compared["after"].keys() >= {"Pd", "IoU", "false_objects_per_image"}
    assert 0 <= compared["before"]["Pd"] <= 100
    rendered = compared["rendered"]
    assert rendered["before"].keys() == rendered["after"].keys() == {*KINDS, ALL}
    assert rendered["before"]["clear targets in the sky"]["Pd"] > 90
    assert compared["shipped"]["drone:val"]["Pd"] == 96.386
    before, after = load_weights("datransnet-s").network, load_weights(str(out / "best.pt")).network
    assert before.base == after.base
    assert any(not np.array_equal(a.detach(), b.detach()) for a, b in
               zip(before.parameters(), after.parameters(), strict=True))  # fmt: skip
    assert main(words) == 1
    assert "exists" in capsys.readouterr().err.lower()


class Forgot(nn.Module):
    """A network that no longer sees what is dark, or sees something in each corner of every picture."""

    def __init__(self, network: nn.Module, dark: bool, corners: bool) -> None:
        super().__init__()
        self.network, self.dark, self.corners = network, dark, corners

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x)
        if self.dark:
            near = nn.functional.avg_pool2d(x, 9, 1, 4)
            out = torch.where(nn.functional.max_pool2d(near - x, 5, 1, 2) > 0.02, out.new_tensor(-9.0), out)
        if self.corners:
            for rows in (slice(3, 6), slice(-6, -3)):
                out[..., rows, 3:6] = 9.0
        return out


def test_what_was_forgotten_is_said() -> None:
    network = prepare(load_weights("datransnet-s").network, torch.device("cpu"))
    same = compare(network, network, 0.5)
    assert same.before == same.after
    assert not same.warnings
    first, again = rendered(), rendered()
    for kind, some in first.items():
        assert all(np.array_equal(a.image, b.image) for a, b in zip(some, again[kind], strict=True)), "fixed"
    assert same.before["nothing there"]["false_objects_per_image"] < 1
    assert "Pd" not in same.before["nothing there"]
    targets = sum(s.mask.any() for some in first.values() for s in some)
    assert targets == PICTURES * (len(KINDS) - 1), "targets in all but the empty ones"
    blind = compare(network, Forgot(network, True, False), 0.5)
    assert blind.after["dark targets"]["Pd"] < 10
    assert any("dark targets" in text and "before" in text for text in blind.warnings)
    assert not any("false detections" in text for text in blind.warnings)
    noisy = compare(network, Forgot(network, False, True), 0.5)
    assert any("false detections" in text and "all rendered scenes" in text for text in noisy.warnings)
    assert any("nothing there" in text for text in noisy.warnings)
    assert "warning: " in "\n".join(said(noisy, {}, "mine.pt"))
    assert shipped("mine.pt") == {}
    text = table_of({"frames": 3, "before": same.before[ALL] | {"IoU": 1.0}, "after": same.after[ALL] | {"IoU": 1.0},
                     "rendered": asdict(noisy), "shipped": {}, "weights": "mine.pt"})  # fmt: skip
    assert "<b>Warning:</b>" in text
    assert "as it came" not in text


def test_a_session_without_verdicts_is_one_line(
    desk: Desk,
    flight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk.seen_whole(str(flight))
    desk.keeping.save_as(tmp_path / "s.irtrack")
    save(desk)
    assert main(["teach", str(tmp_path / "s.irtrack"), "--out", str(tmp_path / "o")]) == 1
    assert "nothing is said of the tracks in s.irtrack" in capsys.readouterr().err


def test_the_window_learns_and_asks_whether_to_keep_it(
    qtbot: QtBot, flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = make_window(qtbot, SETTINGS)
    window.session.use(Bright())
    window.teaching.start()
    assert "say first what tracks are" in window.banner.text()
    seen_whole(qtbot, window, flight, 40)
    window.outputs.save_session(tmp_path / "s.irtrack")
    for track in window.session.lives():
        window.session.edits.edit(window.session.edits.value.judged(track, "drone"))
    window.teaching.options = ("--weights", "datransnet-s", "--steps", "25", "--set", "batch=1", "crop=64")
    asked: list[str] = []

    def ask(compared: dict[str, Any]) -> None:
        asked.append(table_of(compared))
        window.teaching.decide(True)

    monkeypatch.setattr(window.teaching, "_ask", ask)
    window.teaching.start()
    assert window.teaching.progress.isVisible()
    qtbot.waitUntil(lambda: bool(asked) or "learn" in window.banner.text(), timeout=240_000)
    assert asked, window.banner.text()
    for text in ("targets found, %", "rendered scenes", "nothing there", "datransnet-s as it came", "drone:val"):
        assert text in asked[0]
    weights = Path(window.session.recipe.value.detector.weights)
    assert weights.name == "best.pt"
    assert weights.parent.parent == tmp_path  # beside the session
    assert window.session.older == ["model"]
    assert not window.teaching.progress.isVisible()
    window.close()


PROGRAM = """
import json, sys, time
from pathlib import Path
out, how = Path(sys.argv[1]), sys.argv[2]
out.mkdir(parents=True)
(out / "best.pt").write_bytes(b"weights")
print("step 3/10", flush=True)
if how == "slow":
    time.sleep(600)
if how == "full":
    print("irtrack: cannot write last.pt: No space left on device", file=sys.stderr)
    sys.exit(1)
(out / "compared.json").write_text(sys.argv[3])
"""
FIGURES = {"Pd": 50.0, "false_objects_per_image": 0.1, "IoU": 60.0}
SCENES = {"warnings": [], "before": {"sky": FIGURES}, "after": {"sky": FIGURES}}
COMPARED = {"session": "flight.irtrack", "weights": "datransnet-s", "frames": 18, "before": FIGURES,
            "after": FIGURES | {"Pd": 75.0}, "rendered": SCENES, "shipped": {}}  # fmt: skip


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The program that learns is one that only writes what learning leaves; the last entry says how it goes."""
    how = ["well"]

    def command(lesson: Lesson, options: Sequence[str] = ()) -> list[str]:
        return [sys.executable, "-c", PROGRAM, str(lesson.out), how[-1], json.dumps(COMPARED)]

    monkeypatch.setattr(Lesson, "command", command)
    monkeypatch.setattr(Loader, "load", lambda self, settings, source: None)  # those weights are none
    return how


@pytest.fixture
def judged(qtbot: QtBot, flight: Path) -> Iterator[MainWindow]:
    """A window with a recording of which something was said, as it was a moment ago."""
    window = make_window(qtbot, SETTINGS)
    window.session.use(Bright())
    seen_whole(qtbot, window, flight, 40)
    window.outputs.save_session(flight.with_name("s.irtrack"))
    for track in window.session.lives():
        window.session.edits.edit(window.session.edits.value.judged(track, "drone"))
    yield window
    window.close()


def asked(qtbot: QtBot, window: MainWindow) -> TextDialog:
    """The question at the end."""
    qtbot.waitUntil(lambda: isinstance(QApplication.activeModalWidget(), TextDialog), timeout=60_000)
    box = QApplication.activeModalWidget()
    assert isinstance(box, TextDialog)
    assert window.teaching.process is None
    return box


def learnt(flight: Path) -> list[Path]:
    """Folders that learning has left beside the recording."""
    return sorted(flight.parent.glob("*-learnt*"))


def press(qtbot: QtBot, box: TextDialog, text: str) -> None:
    button = next(button for button in box.findChildren(QPushButton) if button.text() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_what_was_said_just_now_is_learned_from_and_kept_weights_are_found_again(
    qtbot: QtBot, judged: MainWindow, lessons: list[str], flight: Path
) -> None:
    teaching, session = judged.teaching, judged.session
    teaching.start()
    assert teaching.lesson is not None
    file, out = teaching.lesson.file, teaching.lesson.out
    assert read_session(file).edits == session.edits.value  # at once, whatever the disk is busy with
    box = asked(qtbot, judged)
    teaching.start()
    assert "something is being learned" in judged.banner.text()
    press(qtbot, box, "Use the new weights")
    weights = out / "best.pt"
    assert session.recipe.value.detector.weights == str(weights)
    model = judged.side.detection.model_box
    assert model.currentText() == f"{out.name}/best.pt"
    assert out.name.startswith("flight-learnt")
    assert "learned from flight.irtrack, on from datransnet-s" in model.toolTip()
    assert "75 %" in model.toolTip()
    lessons.append("well")
    session.choose(weights="datransnet-s")
    teaching.start()  # twice in a row
    press(qtbot, asked(qtbot, judged), "Drop them")
    assert learnt(flight) == [out]
    teaching.start()
    box = asked(qtbot, judged)
    qtbot.keyClick(box.focusWidget() or box, Qt.Key.Key_Space)  # nothing is decided by a key that was meant for playing
    qtbot.waitUntil(lambda: teaching.lesson is None)
    (later,) = (folder / "best.pt" for folder in learnt(flight) if folder != out)
    assert later.exists()
    assert session.recipe.value.detector.weights == "datransnet-s"
    judged.close()
    again = make_window(qtbot, SETTINGS)
    model = again.side.detection.model_box
    for path in (weights, later):
        at = model.findData(str(path))
        assert model.itemText(at) == f"{path.parent.name}/best.pt"
        assert "learned from flight.irtrack" in model.itemData(at, Qt.ItemDataRole.ToolTipRole)
    later.unlink()
    again.close()
    last = make_window(qtbot, SETTINGS)
    assert last.side.detection.model_box.findData(str(later)) < 0  # it was deleted meanwhile
    last.close()


def test_learning_that_is_given_up_or_fails_leaves_nothing(
    qtbot: QtBot, judged: MainWindow, lessons: list[str], flight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teaching = judged.teaching
    lessons.append("slow")
    teaching.start()
    qtbot.waitUntil(lambda: teaching.progress.label.text() == "learning: 3 of 10", timeout=60_000)
    qtbot.mouseClick(teaching.progress.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: teaching.process is None, timeout=60_000)
    assert not learnt(flight)
    assert not teaching.progress.isVisible()
    lessons.append("full")
    teaching.start()
    qtbot.waitUntil(lambda: "No space left" in judged.banner.text(), timeout=60_000)
    assert judged.banner.text().startswith("nothing was learned")
    assert not learnt(flight)
    lessons.append("slow")
    teaching.start()
    qtbot.waitUntil(lambda: bool(learnt(flight)), timeout=60_000)
    answers, texts = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes], list[str]()
    monkeypatch.setattr(QMessageBox, "question", lambda *words: (texts.append(words[2]), answers.pop(0))[1])
    judged.quit()
    assert judged.isVisible()
    assert "still being learned" in texts[0]
    assert teaching.process is not None
    judged.quit()
    assert not judged.isVisible()
    assert not learnt(flight)


def test_a_program_that_is_to_end_does_so_while_it_asks(
    qtbot: QtBot, judged: MainWindow, lessons: list[str], flight: Path
) -> None:
    """As by Ctrl+C in its terminal: what was learned is not thrown away."""
    judged.teaching.start()
    asked(qtbot, judged)
    judged.stop = Stop()
    judged.stop.asked = True
    qtbot.waitUntil(lambda: not judged.isVisible(), timeout=60_000)
    (out,) = learnt(flight)
    assert (out / "best.pt").exists()


def test_a_disk_that_is_full_while_it_learns_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files ends writing as a full disk does; torch says nothing that anybody could read."""
    path, limits = tmp_path / "best.pt", resource.getrlimit(resource.RLIMIT_FSIZE)
    atomic_save({"step": 1}, path)
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(SinkError, match=r"cannot write .*best\.pt: .*what was written before stays") as raised:
            atomic_save({"weights": torch.zeros(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["best.pt"]


def test_there_has_to_be_something_to_learn_from(
    qtbot: QtBot, judged: MainWindow, lessons: list[str], flight: Path
) -> None:
    edits = judged.session.edits.value
    for track in judged.session.lives():
        edits = edits.judged(track, "")
    judged.session.edits.edit(edits.renamed(1, "A"))
    judged.teaching.start()
    assert "say first what tracks are" in judged.banner.text()
    assert judged.teaching.lesson is None


def test_the_model_that_was_chosen_is_trained_on(desk: Desk, flight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that which the program was started with."""
    path = judged_session(desk, flight)
    monkeypatch.setattr(Loader, "load", lambda self, settings, source: None)
    desk.session.choose(weights="datransnet", threshold=0.4)
    save(desk)
    kept = read_session(path)
    assert (kept.settings.detector.weights, kept.chosen.detector.weights) == ("datransnet-s", "datransnet")
    given: list[argparse.Namespace] = []

    def train(args: argparse.Namespace, remarks: Remarks) -> None:
        given.append(args)
        raise IrtrackError("enough")

    monkeypatch.setattr("irtrack.train.teach.train", train)
    assert main(["teach", str(path), "--out", str(flight.with_name("out"))]) == 1
    assert (given[0].init, given[0].teacher) == ("datransnet", "datransnet")
