"""Checkpoints: the authors', ours, and everything that only looks like one."""

from __future__ import annotations

import argparse
import contextlib
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from irtrack.config import DetectorSettings
from irtrack.core import IrtrackError, WeightsError
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.manifest import read_manifest
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import load_weights, save_weights
from irtrack.train.data import Sample
from irtrack.train.evaluation import evaluate


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


def tensors() -> dict[str, torch.Tensor]:
    return DATransNet(base=4).state_dict()


@pytest.mark.parametrize("protocol", [True, False])
def test_what_scripts_keep_beside_the_tensors_is_passed_over(tmp_path: Path, protocol: bool) -> None:
    """Numbers of NumPy, parsed arguments, paths, classes of their own: in archives and in the old format."""
    beside = {"loss": [np.float64(0.1)], "iou": np.float32(0.7), "args": argparse.Namespace(lr=5e-4)}
    if protocol:  # the old format cannot be looked through first
        beside |= {"path": Path("a"), "array": np.arange(3), "counter": Counter("abc"), "own": Own()}  # type: ignore[dict-item]
    path = tmp_path / "w.pth.tar"
    torch.save({"state_dict": tensors()} | beside, path, _use_new_zipfile_serialization=protocol)
    assert load_weights(str(path)).network.base == 4


class Own:
    """A class of somebody's training script, which must not be made."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError("ran")

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


def test_a_stand_in_does_nothing(tmp_path: Path) -> None:
    """What a pickle would call is not called, also beside tensors that are all there."""

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {tmp_path / 'exploded'}",))

    class Quiet:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "exploded",))

    for i, thing in enumerate((Bomb(), Quiet())):
        torch.save({"state_dict": tensors(), "x": thing}, tmp_path / f"{i}.pt")
        with contextlib.suppress(WeightsError):
            assert load_weights(str(tmp_path / f"{i}.pt")).network.base == 4
        assert not (tmp_path / "exploded").exists()


BROKEN = {
    "channels without end": ({"inc.0.conv1.weight": torch.zeros(1 << 20, 1, 1, 1)}, "channels"),
    "no channels": ({"inc.0.conv1.weight": torch.zeros(0, 1, 3, 3)}, "channels"),
    "numbers for names": ({1: torch.zeros(1)}, "no state_dict"),
    "no values": ({"outc.1.bias": torch.zeros(1, device="meta")}, "has no values"),
    "sparse": ({"outc.1.bias": torch.zeros(1).to_sparse()}, "has no values"),
    "whole numbers": ({"outc.1.bias": torch.zeros(1, dtype=torch.int32)}, "holds torch.int32"),
    "complex": ({"outc.1.bias": torch.zeros(1, dtype=torch.complex64)}, "holds torch.complex64"),
    "not a number": ({"outc.1.bias": torch.full((1,), torch.nan)}, "no numbers"),
    "infinite": ({"outc.1.bias": torch.full((1,), torch.inf)}, "no numbers"),
    "a shape without end": ({"outc.1.bias": torch.zeros(1).expand(1 << 40)}, "another shape"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_checkpoints_are_one_line(tmp_path: Path, name: str) -> None:
    change, say = BROKEN[name]
    torch.save({"state_dict": tensors() | change}, tmp_path / "w.pt")  # type: ignore[operator]
    with pytest.raises(WeightsError, match=say):
        load_weights(str(tmp_path / "w.pt"))


@pytest.mark.parametrize("size", [-1, 0, 10**9, "256", [1]])
def test_training_sizes_without_end(tmp_path: Path, size: object) -> None:
    torch.save({"state_dict": tensors(), "settings": {"img_size": size}}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="no network was trained"):
        load_weights(str(tmp_path / "w.pt"))


def test_archives_are_measured_before_they_are_unpacked(tmp_path: Path) -> None:
    """Entries that unpack to gigabytes: a deflated archive of 2 MiB."""
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}q\x00.")
        with archive.open("w/data/0", "w") as entry:
            for _ in range(300):
                entry.write(bytes(1 << 20))
    with pytest.raises(WeightsError, match=r"holds 300 MiB: no checkpoint"):
        load_weights(str(path))


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"\x00\x01", b"[m]\nfile = 5\n", b"m = 1\n", b"[m]\n", b"x" * 99])
def test_a_damaged_manifest_is_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "manifest.toml").write_bytes(text)
    with pytest.raises(WeightsError, match="reinstall"):
        load_weights("m", folder=tmp_path)


def test_the_reported_cases(data: Path) -> None:
    folder = data / "cases" / "hostile"
    if not folder.is_dir():
        pytest.skip("the reported cases are not there")
    for name in ("hugechan.pt", "zerochan.pt", "intkey.pt", "meta.pt"):
        with pytest.raises(WeightsError) as caught:
            load_weights(str(folder / name))
        assert str(caught.value).isprintable()


def test_a_checkpoint_whose_tensors_were_damaged_is_refused(tmp_path: Path) -> None:
    """torch reads it without a word."""
    torch.save({"state_dict": tensors()}, tmp_path / "a.pth")
    load_weights(str(tmp_path / "a.pth"))
    code = bytearray((tmp_path / "a.pth").read_bytes())
    code[len(code) // 2] ^= 0x40
    (tmp_path / "a.pth").write_bytes(code)
    with pytest.raises(WeightsError, match="do not have the sums that they say"):
        load_weights(str(tmp_path / "a.pth"))


def test_names_as_training_scripts_put_before_those_of_tensors(tmp_path: Path) -> None:
    own = DATransNet(base=4).state_dict()
    for prefix in ("_orig_mod.", "module._orig_mod.", "_orig_mod.module.model."):
        torch.save({"state_dict": {prefix + key: value for key, value in own.items()}}, tmp_path / "a.pt")
        found = load_weights(str(tmp_path / "a.pt")).network.state_dict()
        assert all(torch.equal(found[key], value) for key, value in own.items())


def test_weights_whose_scores_are_no_numbers_find_nothing_and_say_so(tmp_path: Path) -> None:
    """Every tensor is finite; a variance below 0 has no root."""
    network = DATransNet(base=8)
    next(b for name, b in network.named_buffers() if name.endswith("running_var")).fill_(-1.0)
    save_weights(network, tmp_path / "a.safetensors")
    weights = load_weights(str(tmp_path / "a.safetensors"))
    detector = NetworkDetector(weights, DetectorSettings(backend="torch", temporal=False), torch.device("cpu"))
    image = np.random.default_rng(1).integers(0, 255, (32, 48), np.uint8)
    with pytest.raises(IrtrackError, match="scores are no numbers"):
        detector(image)
    with pytest.raises(IrtrackError, match="scores are no numbers"):
        evaluate(weights.network, [Sample("a", image, np.zeros(image.shape, bool))], "cpu")
