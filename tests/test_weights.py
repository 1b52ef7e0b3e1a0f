"""Checkpoints: the authors', ours, and everything that only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from irtrack.core import WeightsError
from irtrack.detect.manifest import read_manifest
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import load_weights, save_weights


def test_authors_checkpoint_loads_unchanged(golden: Path) -> None:
    weights = load_weights(str(golden / "datransnet_random.pth.tar"))
    assert weights.network.base == 16
    assert weights.network.img_size == 256
    assert load_weights(str(golden / "datransnet_random.pth.tar"), img_size=512).network.img_size == 512


def test_manifest_models_load_with_their_hash() -> None:
    manifest = read_manifest()
    assert {"datransnet", "datransnet-s"} <= manifest.keys()
    for name, entry in manifest.items():
        assert load_weights(name).network.base == entry["base"]


def test_wrong_hash(tmp_path: Path) -> None:
    digest = save_weights(DATransNet(base=8), tmp_path / "m.safetensors")
    text = f'[m]\nfile = "m.safetensors"\nsha256 = "{digest}"\nimg_size = 256\nthreshold = 0.5\n'
    (tmp_path / "manifest.toml").write_text(text)
    assert load_weights("m", folder=tmp_path).network.base == 8
    with (tmp_path / "m.safetensors").open("r+b") as f:
        f.seek(-1, 2)
        f.write(b"\x55")
    with pytest.raises(WeightsError, match="damaged"):
        load_weights("m", folder=tmp_path)
    (tmp_path / "m.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights("m", folder=tmp_path)


def test_other_files_get_one_line(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            load_weights(str(path))
        text = str(caught.value)
        assert "\n" not in text
        return text

    assert "no model or file" in message(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text("these are no weights")
    assert "not a checkpoint" in message(tmp_path / "text.pt")
    (tmp_path / "text.safetensors").write_text("these are no weights")
    assert "not a checkpoint" in message(tmp_path / "text.safetensors")
    (tmp_path / "empty.pt").write_bytes(b"")
    assert "not a checkpoint" in message(tmp_path / "empty.pt")
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "other.pt")
    assert "another network" in message(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "no state_dict" in message(tmp_path / "list.pt")
    state = DATransNet(base=8).state_dict()
    state.pop("outc.1.bias")
    torch.save({"state_dict": state}, tmp_path / "part.pt")
    assert "lacks outc.1.bias" in message(tmp_path / "part.pt")
    wide = DATransNet(base=8).state_dict() | {"outc.1.bias": torch.zeros(2)}
    torch.save({"state_dict": wide}, tmp_path / "wide.pt")
    assert "another shape" in message(tmp_path / "wide.pt")
    torch.save({"state_dict": DATransNet(base=8).state_dict() | {"head.x": torch.zeros(1)}}, tmp_path / "more.pt")
    assert "unknown head.x" in message(tmp_path / "more.pt")


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsError):
        load_weights(str(tmp_path / "bomb.pt"))
    assert not (tmp_path / "exploded").exists()


def test_round_trip(tmp_path: Path) -> None:
    network = DATransNet(base=8).eval()
    save_weights(network, tmp_path / "w.safetensors")
    again = load_weights(str(tmp_path / "w.safetensors")).network
    x = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(x), again(x))
