"""Parts of other packages, declared as entry points: found, used, and refused in one line where they are broken."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import seen_whole
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from irtrack import plugins
from irtrack.capture import open_source
from irtrack.capture.kinds import forms
from irtrack.cli import main
from irtrack.core import SourceError, WeightsError
from irtrack.detect.weights import load_weights
from irtrack.gui.export_dialog import ExportDialog
from irtrack.gui.window import MainWindow
from irtrack.sinks.columns import CSV_HEADER
from irtrack.sinks.kinds import kind_named

Package = Callable[[str, str, str], None]
QUICK = ["--weights", "datransnet-s", "--device", "cpu", "--backend", "torch", "--quiet"]

SOURCE = """
from irtrack.capture.kinds import SourceKind
from irtrack.capture.sim import SimSource
SCENE = "sky,width=96,height=80,frames=12,scr=14"
KIND = SourceKind("mykind", "mykind:NAME", "ours", lambda text, fps: SimSource(SCENE), ("mykind:",), (".mine",))
"""
SINK = """
from irtrack.sinks.kinds import SinkKind
from irtrack.sinks.text import TextSink
class Lines(TextSink):
    def rows(self, result):
        return f"{result.frame.index} {sum(t.confirmed for t in result.tracks)}\\n"
KIND = SinkKind("lines", "lines", "a line a frame", (".txt",), lambda target, about: Lines(target))
"""
NETWORK = """
import torch
class Spots(torch.nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = torch.nn.Parameter(gain)
    def forward(self, x):
        return (x - torch.nn.functional.avg_pool2d(x, 9, 1, 4)) * self.gain - 6
def make(tensors, img_size):
    return Spots(tensors["gain"])
"""
BACKEND = """
import torch
from irtrack.detect.inference import prepare
def same(network, threads):
    return prepare(network, torch.device("cpu"))
def wrong(network, threads):
    return torch.zeros_like
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Installs a package: code, and one entry point `NAME = module:attribute`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made: list[str] = []

    def install(group: str, entry: str, code: str) -> None:
        module = f"brought_{len(made)}"
        made.append(module)
        (site / f"{module}.py").write_text(code)
        about = site / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{group}]\n{entry.replace('MODULE', module)}\n")
        plugins.declared.cache_clear()

    yield install
    plugins.declared.cache_clear()
    for module in made:
        sys.modules.pop(module, None)


def test_a_source(package: Package, tmp_path: Path) -> None:
    package(plugins.SOURCES, "mykind = MODULE:KIND", SOURCE)
    assert "mykind:..." in forms()
    assert sum(1 for _ in open_source("mykind:anything")) == 12
    (tmp_path / "a.mine").write_bytes(b"anything")
    assert open_source(str(tmp_path / "a.mine")).info.frames == 12
    with pytest.raises(SourceError, match="did you mean 'mykind'"):
        open_source("mykimd:anything")


def test_an_output(package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package(plugins.SINKS, "lines = MODULE:KIND", SINK)
    out = tmp_path / "out.txt"
    scene = "sim:sky,width=96,height=80,frames=12,scr=14,speed_px_s=60"
    assert main(["run", scene, "--lines", str(out), "--caution", "1e6", *QUICK]) == 0
    lines = [line.split() for line in out.read_text().splitlines()]
    assert [int(frame) for frame, _ in lines] == list(range(12))
    assert int(lines[-1][1]) > 0
    assert main(["run", scene, "--lines", str(out), *QUICK]) == 1
    assert "exists" in capsys.readouterr().err
    (tmp_path / "d.csv").write_text("frame,x,y\n" + "".join(f"{i},{9 + 3 * i},9\n" for i in range(12)))
    words = ["track", str(tmp_path / "d.csv"), "--out", str(tmp_path / "t.csv"), "--lines", str(tmp_path / "l.txt")]
    assert main(words) == 0
    assert len((tmp_path / "l.txt").read_text().splitlines()) == 12


def test_the_window_offers_both(
    package: Package, qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its dialogs, beside our own; what is chosen there wins over the first kind with that suffix."""
    package(plugins.SOURCES, "mykind = MODULE:KIND", SOURCE)
    package(plugins.SINKS, "lines = MODULE:KIND", SINK)
    package(plugins.SINKS, "broken = MODULE:KIND", "import what_is_not_there")
    offered: list[list[str]] = []

    def answer(name: str, path: Path, chosen: str) -> None:
        def asked(parent: object, title: str, suggested: str, kinds: str) -> tuple[str, str]:
            offered.append(kinds.split(";;"))
            return str(path), chosen

        monkeypatch.setattr(QFileDialog, name, asked)

    recording = tmp_path / "a.mine"
    recording.write_bytes(b"anything")
    answer("getOpenFileName", recording, "")
    window.opener.ask_recording()
    assert offered[0][0].startswith("Everything that is read (*.cptv *.seq")
    assert "*.mine" in offered[0][0]
    assert {"CPTV file (*.cptv)", "FLIR file (*.seq *.csq *.fff)", "Mykind (*.mine)", "All files (*)"} < set(offered[0])
    seen_whole(qtbot, window, recording, frames=12)
    window.outputs.ask_export()
    dialog = window.findChild(ExportDialog)
    assert list(dialog.boxes) == ["csv", "mot", "jsonl", "trackmate", "cvat", "coco", "lines", "video"]
    dialog.name.setText(str(tmp_path / "a"))
    for box in dialog.boxes.values():
        box.setChecked(True)
    dialog.boxes["video"].setChecked(False)
    dialog.export.click()
    for name, first in (
        ("a.csv", CSV_HEADER), ("a.trackmate.csv", "LABEL,ID,TRACK_ID"), ("a.jsonl", '{"frame": 0, "time_s": 0.0'),
        ("a.xml", '<?xml version="1.0"'), ("a.json", '{"'), ("a.lines.txt", "0 3\n1 3\n"),
    ):  # fmt: skip
        assert (tmp_path / name).read_text().startswith(first), name
    assert (tmp_path / "a.txt").exists()  # MOTChallenge
    window.outputs.export(tmp_path / "b.txt", kind=kind_named("lines"))  # the kind that is chosen wins
    assert (tmp_path / "b.txt").read_text().startswith("0 3\n")
    window.outputs.export(tmp_path / "h.doc")
    assert "tracks are exported as .csv, .txt, .jsonl, .xml, .json" in window.banner.text()


def test_a_network(package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package(plugins.NETWORKS, "Spots = MODULE:make", NETWORK)
    weights = tmp_path / "spots.safetensors"
    save_file({"gain": torch.tensor(300.0)}, weights, {"architecture": "Spots"})
    scene = "sim:sky,width=96,height=80,frames=16,scr=20,targets=2,speed_px_s=60,texture=0.002,structure=0,netd=0.002"
    out = tmp_path / "t.csv"
    words = ["run", scene, "--csv", str(out), "--force", "--weights", str(weights), "--caution", "1e6"]
    assert main(words) == 0
    assert len({row["track_id"] for row in csv.DictReader(out.open())}) >= 1
    capsys.readouterr()
    for more, say in (
        (["--mode", "video"], "mode video takes a DATransNet"),
        (["--backend", "native"], "backend native takes a DATransNet"),
    ):
        assert main([*words, *more]) == 1
        assert say in capsys.readouterr().err
    assert main(["export", "--weights", str(weights), "--out", str(tmp_path / "m.onnx")]) == 1
    assert "only DATransNet is trained, exported" in capsys.readouterr().err
    save_file({"gain": torch.tensor(300.0)}, weights, {"architecture": "Spotz"})
    assert main(words) == 1
    assert "did you mean 'Spots'" in capsys.readouterr().err
    save_file({"other": torch.tensor(300.0)}, weights, {"architecture": "Spots"})
    assert main(words) == 1
    assert "Spots cannot be made of it: KeyError" in capsys.readouterr().err


def test_the_manifest_says_the_architecture(tmp_path: Path) -> None:
    entry = '[m]\nfile = "m.safetensors"\nsha256 = "{}"\nimg_size = 256\nthreshold = 0.5\narchitecture = {}\n'
    save_file({"gain": torch.tensor(1.0)}, tmp_path / "m.safetensors")
    digest = hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    for value, say in (('"UNet"', "networks known here are DATransNet"), ("5", "lacks architecture")):
        (tmp_path / "manifest.toml").write_text(entry.format(digest, value))
        with pytest.raises(WeightsError, match=say):
            load_weights("m", folder=tmp_path)


def test_a_backend(package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package(plugins.BACKENDS, "same = MODULE:same", BACKEND)
    package(plugins.BACKENDS, "wrong = MODULE:wrong", BACKEND)
    scene = "sim:sky,width=96,height=80,frames=3"
    words = ["run", scene, "--csv", str(tmp_path / "t.csv"), "--weights", "datransnet-s", "--device", "cpu"]
    assert main([*words, "--backend", "same"]) == 0
    assert main([*words, "--backend", "wrong", "--force"]) == 1
    assert "backend wrong gives other scores than torch" in capsys.readouterr().err
    assert main([*words, "--backend", "same", "--mode", "video", "--force"]) == 1
    assert "whole frames only" in capsys.readouterr().err


def test_a_broken_package_is_one_line_and_hinders_nothing_else(
    package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package(plugins.SOURCES, "mykind = MODULE:KIND", "import what_is_not_there")
    package(plugins.SINKS, "lines = MODULE:KIND", "KIND = 5")
    out = str(tmp_path / "t.csv")
    scene = "sim:sky,width=96,height=80,frames=2"
    assert main(["run", scene, "--csv", out, *QUICK]) == 0
    assert main(["run", "mykind:x", "--csv", out, "--force", *QUICK]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be loaded: ModuleNotFoundError" in said
    assert main(["run", scene, "--lines", out, *QUICK]) == 1
    assert "is no SinkKind" in capsys.readouterr().err
