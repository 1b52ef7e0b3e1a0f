"""Other engines: exported, compared, refused, chosen; and the network's benchmark."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from irtrack.build import load_detector
from irtrack.cli import main
from irtrack.config import DetectorSettings
from irtrack.core import IrtrackError
from irtrack.detect import backends
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import load_weights
from irtrack.simulate import Scene, scene_from_text

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The slim network as `irtrack export` writes it, and what that says; once, for it takes a minute."""
    out, said = tmp_path_factory.mktemp("exported") / "slim.onnx", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["export", "--weights", "datransnet-s", "--out", str(out)]) == 0
    return out, said.getvalue()


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cache_folder", lambda: cache)


@pytest.fixture
def _exported_before(exported: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tests that run the slim network in other engines: whoever exports it gets the file that is there."""
    monkeypatch.setattr(backends, "export_onnx", lambda network, path: shutil.copyfile(exported[0], path))


@pytest.mark.usefixtures("_exported_before")
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("size", [(32, 64), (256, 320)])
def test_engines_give_the_scores_of_torch(name: str, size: tuple[int, int]) -> None:
    network = load_weights("datransnet-s").network
    x = torch.rand(1, 1, *size)
    with torch.inference_mode():
        expected = prepare(network, torch.device("cpu"))(x).sigmoid()
        assert (backends.make_backend(name, network)(x).sigmoid() - expected).abs().max() < 5e-5


@pytest.mark.usefixtures("_exported_before")
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_detections_do_not_depend_on_the_engine(name: str) -> None:
    image = Scene(scene_from_text("sky,width=200,height=150,seed=3")).image(75)
    found = [
        load_detector(DetectorSettings(weights="datransnet-s", device="cpu", backend=b))(image) for b in (name, "torch")
    ]
    assert len(found[0].xy_px) == len(found[1].xy_px) > 0
    assert abs(found[0].xy_px - found[1].xy_px).max() < 1e-2


def test_an_engine_that_differs_is_refused(exported: tuple[Path, str]) -> None:
    """A file of another training of the same network: each weight of the last layer differs by one in twenty."""
    network = load_weights("datransnet-s").network
    with torch.no_grad():
        list(network.parameters())[-2].mul_(1.05)
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(IrtrackError, match=f"backend {name} gives other scores than torch"):
            backends.make_backend(name, network, exported[0])


@pytest.mark.usefixtures("_exported_before")
def test_the_trial_is_remembered_and_a_damaged_memory_ignored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = load_weights("datransnet-s")
    memory = cache / "backends.json"
    memory.write_text("{ not json")
    best = backends.fastest(weights)
    assert best in backends.NAMES
    known = json.loads(memory.read_text())
    assert list(known.values()) == [best]
    memory.write_text(json.dumps({next(iter(known)): "openvino"}))
    monkeypatch.setattr(backends, "make_backend", None)  # a second trial would fail
    assert backends.fastest(weights) == "openvino"


def test_another_engine_must_be_clearly_faster() -> None:
    assert backends.chosen({"torch": 1.0, "onnxruntime": 0.9, "openvino": 1.5}) == "torch"
    assert backends.chosen({"torch": 1.0, "onnxruntime": 0.7, "openvino": 0.5}) == "openvino"


def test_without_engines_it_is_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "available", list)
    assert backends.fastest(load_weights("datransnet-s")) == "torch"
    with pytest.raises(IrtrackError, match=r"backend openvino is not installed: pip install 'irtrack\[openvino\]'"):
        backends.make_backend("openvino", load_weights("datransnet-s").network)


def test_export_writes_a_file_that_was_compared(exported: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, said = exported
    assert "agrees with torch in onnxruntime and openvino" in said
    assert out.stat().st_size > 10_000
    assert main(["export", "--weights", "datransnet-s", "--out", str(out)]) == 1
    assert "exists" in capsys.readouterr().err


def authors_checkout(folder: Path) -> Path:
    """A stand-in for the authors' repository: our network in a package, with an unused part and a sigmoid.

    As theirs, its packages import networks that need what is not installed, and it prints.
    """
    inside = folder / "model" / "DATransNet"
    inside.mkdir(parents=True)
    (folder / "model" / "__init__.py").write_text("import thop_that_is_not_there\nfrom .gone import *\n")
    (inside / "__init__.py").write_text("from mmcv_that_is_not_there import ops\n")
    (inside / "blocks").mkdir()
    (inside / "blocks" / "__init__.py").write_text("SIZE = 1\n")
    (inside / "segmentation.py").write_text(
        "import torch\n"
        "from .blocks import SIZE\n"
        "from model.DATransNet.blocks import SIZE as again\n"
        "print('their code prints')\n"
        "from irtrack.detect.network import DATransNet as Ours\n"
        "class DATransNet(torch.nn.Module):\n"
        "    def __init__(self, n_channels=1, n_classes=1, img_size=256):\n"
        "        super().__init__()\n"
        "        inner = Ours(16, img_size).set_fused(False)\n"
        "        for name, child in inner.named_children():\n"
        "            setattr(self, name, child)\n"
        "        self.encoder5 = torch.nn.Conv2d(SIZE, again, 1)\n"
        "        self.inner = [inner]\n"
        "    def forward(self, x):\n"
        "        return self.inner[0].eval()(x).sigmoid()\n"
    )
    return folder


def test_the_authors_checkout_is_found_loaded_and_agrees(tmp_path: Path) -> None:
    from irtrack.bench.reference import difference, load_reference

    network = load_weights("datransnet").network
    reference = load_reference(authors_checkout(tmp_path / "code"), network)
    assert difference(reference, prepare(network, torch.device("cpu")), torch.rand(1, 1, 64, 96)) < 5e-5


def test_the_checkout_leaves_nothing_behind_and_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checkouts in one process, beside a module of ours that has the name of one of theirs."""
    from irtrack.bench.reference import load_reference

    ours = ModuleType("model")
    monkeypatch.setitem(sys.modules, "model", ours)
    network, path = load_weights("datransnet").network, list(sys.path)
    made = [load_reference(authors_checkout(tmp_path / name), network) for name in ("one", "two")]
    assert type(made[0].network) is not type(made[1].network)
    assert sys.modules["model"] is ours
    assert sys.path == path
    assert not [m for m in sys.modules if m.startswith("model.")]


def test_their_network_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    from irtrack.bench.network import Apart

    apart = Apart(authors_checkout(tmp_path / "code"))
    assert apart(torch.zeros(1, 1, 32, 64)) > 0
    apart.close()
    gone = Apart(tmp_path / "nowhere")
    with pytest.raises(IrtrackError, match=r"ended early: .*there is no folder"):
        gone(torch.zeros(1, 1, 32, 64))
    gone.close()


def test_what_their_code_needs_and_is_not_there_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = authors_checkout(tmp_path / "code")
    code = folder / "model" / "DATransNet" / "segmentation.py"
    code.write_text("import einops_that_is_not_there\n" + code.read_text())
    assert main(["bench", "--reference", str(folder), "--rounds", "1"]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "No module named 'einops_that_is_not_there': pip install einops_that_is_not_there" in said
    assert main(["bench", "--reference", str(folder / "nowhere")]) == 1
    assert "there is no folder" in capfd.readouterr().err


def test_a_folder_without_their_network_is_one_line(tmp_path: Path) -> None:
    from irtrack.bench.reference import load_reference

    with pytest.raises(IrtrackError, match="holds no Python file with 'class DATransNet\\('"):
        load_reference(tmp_path, DATransNet())


def test_network_benchmark_has_every_form_and_its_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("irtrack.bench.network.SIZES", ((64, 64), (96, 64)))
    monkeypatch.setattr("irtrack.bench.network.available", list)
    out, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    assert main(["bench", "--rounds", "2", "--json", str(out), "--plot", str(plot)]) == 0
    rows = json.loads(out.read_text())
    assert {"stage", "backend", "mode", "size", "threads", "median_ms", "ratio"} == set(rows[0])
    network = [r for r in rows if r["stage"] == "network"]
    assert {r["size"] for r in network} == {"64x64", "96x64"}
    assert {(r["backend"], r["mode"]) for r in network} >= {
        ("readable", "own process"), ("torch", "exact"), ("torch", "video"), ("torch", "datransnet-s video"),
    }  # fmt: skip
    assert all(r["median_ms"] > 0 for r in rows)
    base = {r["size"]: r["median_ms"] for r in network if r["mode"] == "own process"}
    assert all(r["ratio"] == pytest.approx(base[r["size"]] / r["median_ms"]) for r in network)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_live_benchmark_reports_interval_and_latency() -> None:
    from irtrack.bench import live

    live.SETTLED_S, settled = 1.0, live.SETTLED_S
    try:
        with pytest.raises(IrtrackError, match="too few to measure"):
            list(live.run(0.04))
        for seconds in (3.0, 15.0, 60.0):  # as long as a busy machine takes
            with contextlib.suppress(IrtrackError):
                rows = {r.stage: r.median_ms for r in live.run(seconds)}
                break
    finally:
        live.SETTLED_S = settled
    assert rows["interval"] > 30  # a camera of 30 frames a second cannot be overtaken
    assert 0 < rows["latency p50"] <= rows["latency p95"]
