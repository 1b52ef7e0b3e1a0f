"""Weights by name or by path: the manifest, its hashes, the authors' checkpoints and our own."""

from __future__ import annotations

import contextlib
import re
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from irtrack.core import WeightsError
from irtrack.detect.architectures import OWN, architecture_of, build_other, check_architecture
from irtrack.detect.manifest import models_folder, read_manifest
from irtrack.detect.network import UNUSED_PREFIXES, DATransNet
from irtrack.paths import is_pipe, sha256_of
from irtrack.text import instead_of, meant

DEFAULT_IMG_SIZE = 256
"""Attention scale of a checkpoint that does not say: the authors' NUDT and SIRST weights (IRSTD-1K has 512)."""


LARGEST_BYTES = 256 << 20
"""Several times what the widest network takes with all that a training keeps beside it."""

BASES, SIZES = (4, 64), (32, 8192)
"""Channels of the first level, and training sizes in pixels, that there are."""

STATES = ("state_dict", "model_state_dict", "model", "network", "net")
"""Under which names checkpoints keep their tensors."""


PREFIXES = re.compile(r"^(?:_orig_mod\.|module\.)*(?:model\.)?(?:_orig_mod\.)?")
"""What is put before the names of tensors: by torch.compile, for several GPUs, by frameworks of training."""


@dataclass(frozen=True)
class Weights:
    """A loaded network and what the manifest knows of it."""

    name: str
    network: DATransNet
    threshold: float
    entry: dict[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether it is a DATransNet, whose parts are known; a network of another package is only run whole."""
        return isinstance(self.network, DATransNet)


OF_RUNS = ("best.pt", "last.pt")
"""What every training calls its checkpoints: the folder says of which they are."""


def load_weights(name: str, img_size: int | None = None, folder: Path | None = None, others: bool = False) -> Weights:
    """Load a model of the manifest, or a checkpoint by path. `others`: also one of another package's networks.

    `img_size` overrides the attention scale of checkpoints that do not carry it. Raises WeightsError with one line.
    """
    manifest = read_manifest(folder)
    if name in manifest:
        entry = manifest[name]
        path = (folder or models_folder()) / str(entry["file"])
        check_hash(path, str(entry["sha256"]))
        architecture = str(entry.get("architecture", OWN))
        check_architecture(architecture, path, others)
        network = made(architecture, read_tensors(path), int(entry["img_size"]), path)
        return Weights(name, network, float(entry["threshold"]), entry)
    path = Path(name)
    if not path.exists():
        known = ", ".join(manifest)
        raise WeightsError(
            f"no model or file named {name!r}{meant(name, manifest)}: the models are {known}; or give the path of a "
            "checkpoint"
        )
    architecture = architecture_of(path)
    check_architecture(architecture, path, others)
    tensors = read_tensors(path)
    own_size = tensors.pop("img_size", None)
    size = img_size or (int(own_size) if own_size is not None else DEFAULT_IMG_SIZE)
    run = f"{path.parent.name}/" if path.name in OF_RUNS and path.parent.name else ""
    return Weights(run + path.name, made(architecture, tensors, size, path), 0.5, {"file": str(path), "img_size": size})


def made(architecture: str, tensors: dict[str, Tensor], img_size: int, path: Path) -> DATransNet:
    """The network of an architecture with these tensors; of another package's, see `is_own`. Raises WeightsError."""
    if architecture == OWN:
        return build(tensors, img_size, path)
    other: DATransNet = build_other(architecture, tensors, img_size, path)  # only ever run whole
    return other


def check_hash(path: Path, expected: str) -> None:
    """Raises WeightsError where the file is missing or is not the one the manifest speaks of."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}; reinstall irtrack") from error
    if found != expected:
        raise WeightsError(f"weights {path} are damaged: sha256 {found[:12]}..., expected {expected[:12]}...")


class Inert:
    """Stands in a checkpoint for whatever is none of torch's: made and filled without doing anything."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a checkpoint (`weights_only`), keys without `PREFIXES`.

    Where the file carries the attention scale, it is added as the key `img_size`. What training scripts keep beside
    the tensors, such as their arguments and numbers of NumPy, is passed over; no code in the file runs.
    """
    try:
        if is_pipe(path):
            raise WeightsError(f"{path} is a pipe, and a checkpoint is read more than once: save it as a file first")
        check_bytes(path)
        with path.open("rb") as f:
            stand_in = instead_of(f.read(64))
        if stand_in:
            raise WeightsError(f"{path} is {stand_in}")
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([(Inert, name) for name in foreign_names(path)]):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch's unpickler raises whatever garbage makes it stumble over
        raise WeightsError(f"{path} is not a checkpoint that can be read: {first_words(error)}") from error
    state = state_of(loaded)
    if state is None:
        raise WeightsError(f"{path} holds no state_dict of tensors: it is no checkpoint of DATransNet")
    tensors = {PREFIXES.sub("", k): v for k, v in state.items()}
    settings = loaded.get("settings")
    if isinstance(settings, dict) and "img_size" in settings:
        size = settings["img_size"]
        if type(size) is not int or not SIZES[0] <= size <= SIZES[1]:
            raise WeightsError(f"{path} is damaged: no network was trained on pictures of {str(size)[:40]} px")
        tensors["img_size"] = torch.tensor(size)
    return tensors


def check_bytes(path: Path) -> None:
    """Raises WeightsError where a checkpoint holds more than any of DATransNet does, before it is unpacked."""
    size = path.stat().st_size
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        size = max(size, sum(entry.file_size for entry in archive.infolist()))
    if size > LARGEST_BYTES:
        raise WeightsError(
            f"{path} holds {size / 2**20:,.0f} MiB: no checkpoint of DATransNet has more than {LARGEST_BYTES >> 20}"
        )
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        check_sums(path, archive)


def check_sums(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises WeightsError where parts of a checkpoint have other sums than it says, which torch does not look at; where
    most of them have, it was written without sums."""
    spoilt = sum(not has_its_sum(archive, entry) for entry in archive.infolist())
    if 0 < 2 * spoilt < len(archive.infolist()):
        raise WeightsError(f"{path} is damaged: its parts do not have the sums that they say; copy or fetch it again")


def has_its_sum(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether a part of an archive is what was written."""
    try:
        with archive.open(entry) as part:
            while part.read(1 << 20):
                pass
    except zipfile.BadZipFile:
        return False
    return True


def foreign_names(path: Path) -> list[str]:
    """What a checkpoint names beside torch's own; of the old format, which cannot be looked through, what is usual."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not an archive, or a damaged one: loading it says more
        scalars = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
        return ["argparse.Namespace", *scalars]


def first_words(error: Exception) -> str:
    """The beginning of a message of torch's: its first sentence, without control codes."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|[^ -~]", "", line).strip() for line in str(error).splitlines()]
    text = next((line for line in lines if line), type(error).__name__)
    return textwrap.shorten(re.split(r"(?<=[a-z]{2})\. ", text)[0], 160, placeholder="...")


def state_of(loaded: object) -> dict[str, Tensor] | None:
    """The tensors by their names: the file's, or those under the names that training scripts give them."""
    if not isinstance(loaded, dict):
        return None
    return next((s for s in (*(loaded.get(name) for name in STATES), loaded) if is_state(s)), None)


def is_state(state: object) -> TypeGuard[dict[str, Tensor]]:
    """Whether this is a table of tensors by their names."""
    if not isinstance(state, dict) or not state:
        return False
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())


def build(tensors: dict[str, Tensor], img_size: int, path: Path) -> DATransNet:
    """A network in evaluation mode with these tensors; strict but for the authors' unused modules."""
    first = tensors.get("inc.0.conv1.weight")
    if first is None or first.ndim != 4:
        raise WeightsError(f"{path} is a checkpoint of another network: it has no inc.0.conv1.weight as DATransNet has")
    base = int(first.shape[0])
    if base % 4 or not BASES[0] <= base <= BASES[1]:
        raise WeightsError(
            f"{path} is a checkpoint of another network: its first level has {base} channels, and DATransNet's "
            f"{BASES[0]} to {BASES[1]}, a multiple of 4"
        )
    network = DATransNet(base, img_size)
    used = {k: v for k, v in tensors.items() if not k.startswith(UNUSED_PREFIXES)}
    expected = network.state_dict()
    missing, extra = sorted(expected.keys() - used.keys()), sorted(used.keys() - expected.keys())
    wrong = [k for k in expected if k in used and used[k].shape != expected[k].shape]
    for keys, what in ((missing, "lacks"), (extra, "has the unknown"), (wrong, "has another shape of")):
        if keys:
            raise WeightsError(
                f"{path} is a checkpoint of another network: it {what} {keys[0][:80]} and {len(keys) - 1} more"
            )
    for key, tensor in used.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            raise WeightsError(f"{path} is damaged: {key} has no values")
        if tensor.is_complex() or tensor.is_floating_point() != expected[key].is_floating_point():
            raise WeightsError(f"{path} is a checkpoint of another network: {key} holds {tensor.dtype}")
        if not tensor.isfinite().all():
            raise WeightsError(
                f"{path} is of no use: {key} holds values that are no numbers (did the training diverge?)"
            )
    network.load_state_dict(used)
    return network.eval()


def save_weights(network: DATransNet, path: Path) -> str:
    """Write safetensors; returns the sha256 for the manifest."""
    save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, path)
    return sha256_of(path)
