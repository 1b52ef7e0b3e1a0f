"""Half precision: nearly the same masks, and settings that are refused in one line. What needs a GPU skips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from irtrack.config import DetectorSettings
from irtrack.core import ConfigError
from irtrack.detect.cuda import GraphedNetwork
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import FastDATrans, prepare
from irtrack.detect.weights import load_weights
from irtrack.simulate import Scene, scene_from_text

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(scene_from_text("sky,width=256,height=224,targets=5,scr=12,seed=4"))


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.93), ("float16", 0.99)])
@pytest.mark.parametrize("mode", ["exact", "video"])
def test_masks_in_half_precision(scene: Scene, precision: str, least: float, mode: str) -> None:
    """Against single precision, over twelve frames (measured on NUAA test_idx427: 0.986 and 0.998)."""
    weights = load_weights("datransnet-s")
    half, single = (
        NetworkDetector(weights, DetectorSettings(mode=mode, precision=p, backend="torch"), CPU)
        for p in (precision, "float32")
    )
    both = either = 0
    for i in range(12):
        a, b = (d.scores(scene.image(i)) > 0.5 for d in (half, single))
        both, either = both + int((a & b).sum()), either + int((a | b).sum())
    assert either > 100
    assert both / either > least


def test_attention_is_made_in_single_precision() -> None:
    network = prepare(load_weights("datransnet-s").network, CPU, torch.bfloat16)
    blocks = [m for m in network.modules() if isinstance(m, FastDATrans)]
    assert {p.dtype for b in blocks for p in b.parameters()} == {torch.float32}
    assert network.encoder1[0].conv1.weight.dtype == torch.bfloat16
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 64, 64)).dtype == torch.float32


@pytest.mark.parametrize("key", ["precision", "backend", "mode"])
def test_unknown_choices_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {key} 'nonsense'"):
        DetectorSettings.from_dict({key: "nonsense"})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_recorded_graph_equals_the_network(scene: Scene) -> None:
    device = torch.device("cuda")
    network = prepare(load_weights("datransnet").network, device)
    graphed = GraphedNetwork(network)
    with torch.inference_mode():
        for i in range(4):
            x = torch.from_numpy(scene.image(i).astype(np.float32) / 255)[None, None].to(device)
            assert (graphed(x).sigmoid() - network(x).sigmoid()).abs().max() < 1e-4
