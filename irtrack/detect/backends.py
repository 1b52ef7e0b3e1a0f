"""Engines for the network on a CPU: torch, torch with kernels in C (`native`), ONNX Runtime, OpenVINO.

`native` is the prepared network with other arithmetic and does all that it does: parts of frames, attention kept. The
other two run whole frames, from an ONNX file that `irtrack export` writes: the prepared network with keys made
(`directional.py`), for any height and width that are multiples of 32; exporting takes a minute. Each is compared with
the torch form at load and refused where it differs. A short trial decides between torch and `native`, which was faster
than the other two wherever it was measured; where it is missing, they are tried instead.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import Tensor

from irtrack import plugins
from irtrack.core import IrtrackError
from irtrack.detect.inference import prepare
from irtrack.detect.native import NativeKernels
from irtrack.detect.native.build import compiler, is_own, make_private, multiplies_bfloat16
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import Weights
from irtrack.paths import replacing
from irtrack.text import read_text

CPU = torch.device("cpu")

Backend = Callable[[Tensor], Tensor]
"""Grey input (1, 1, H, W) in [0, 1], H and W multiples of 32, to logits of the same shape."""

LIMIT = 1e-3
"""Largest difference of scores from the torch form; engines round differently, wrong ones are far off."""

HALF_LIMIT = 0.15
"""The same of kernels in bfloat16, which round to three digits: 0.12 was the largest in 476 test images."""

TRIAL_SIZE = (256, 320)
TRIAL_ROUNDS = 8
GAIN = 0.8
"""Another engine is taken only where its time is below this share of our own: a trial on a busy machine is rough."""

OWN = ("torch", "native")
NAMES = (*OWN, "onnxruntime", "openvino")

log = logging.getLogger(__name__)


def available() -> list[str]:
    """Engines that there are beside torch."""
    installed = [name for name in NAMES if name not in OWN and importlib.util.find_spec(name) is not None]
    return ["native", *installed] if compiler() is not None else installed


def export_onnx(network: DATransNet, path: Path) -> None:
    """Write the network as ONNX, input `grey` (1, 1, H, W) and output `logits`. Raises IrtrackError."""
    if importlib.util.find_spec("onnxscript") is None:
        raise IrtrackError("exporting needs the packages onnx and onnxscript: pip install 'irtrack[onnx]'")
    ready = prepare(network, CPU)
    sides = {2: 32 * torch.export.Dim("rows32", min=1, max=128), 3: 32 * torch.export.Dim("columns32", min=1, max=128)}
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.enable_grad():  # with gradients the keys are made whole, without a loop
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                ready,
                (torch.rand(1, 1, 128, 96),),
                dynamo=True,
                dynamic_shapes=(sides,),
                input_names=["grey"],
                output_names=["logits"],
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        program.save(str(part), external_data=False)


def cached_onnx(network: DATransNet) -> Path:
    """The exported file in the user's cache folder, written on first use."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(str(network.img_size).encode())
    name = f"{digest.hexdigest()[:16]}.onnx"
    path = cache_folder() / name
    try:
        make_private(path.parent)
        if path.exists() and is_own(path):
            return path
        log.info("exporting the network for other engines, once")
        export_onnx(network, path)
    except OSError as error:
        log.warning("the exported network is not kept, since %s cannot be used: %s", path, error.strerror)
        path = Path(tempfile.mkdtemp(prefix="irtrack-")) / name
        export_onnx(network, path)
    return path


def cache_folder() -> Path:
    """Where exported files and the results of trials are kept."""
    return Path(platformdirs.user_cache_dir("irtrack", appauthor=False))


def onnxruntime_backend(path: Path, threads: int) -> Backend:
    """ONNX Runtime: TensorRT or CUDA where its build has them, else the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # a planned arena costs the first two frames of a size a second each
    wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    return lambda x: torch.from_numpy(session.run(None, {"grey": x.cpu().numpy()})[0])


def openvino_backend(path: Path, threads: int) -> Backend:
    """OpenVINO on the CPU, in single precision."""
    import openvino

    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda x: torch.from_numpy(request.infer({0: x.cpu().numpy()})[0].copy())


def native_form(network: DATransNet, half: bool = False) -> DATransNet:
    """The prepared network with kernels in C, in bfloat16 if `half`, checked against torch's in single precision on one
    frame. Raises IrtrackError.
    """
    if half and not multiplies_bfloat16():
        raise IrtrackError("backend native has no bfloat16 on this processor: leave --precision or --backend out")
    form = prepare(network, CPU, arithmetic=NativeKernels(cache_folder(), half))
    check("native", form, network, HALF_LIMIT if half else LIMIT)
    return form


def own_form(network: DATransNet, sure: bool, half: bool = False) -> tuple[str, DATransNet]:
    """The `native` form and its name; the torch form where that cannot be had and was not asked for (`sure`)."""
    try:
        return "native", native_form(network, half)
    except IrtrackError as error:
        if sure:
            raise
        log.warning("%s: torch is used instead", error)
        return "torch", prepare(network, CPU, torch.bfloat16 if half else torch.float32)


def frame_of_points() -> Tensor:
    """(1, 1, H, W) of `TRIAL_SIZE`: dim to bright points on a noisy ground; of noise alone any engine says nothing."""
    height, width = TRIAL_SIZE
    frame = 0.3 + 0.02 * torch.randn(TRIAL_SIZE, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.arange(12, height, 24), torch.arange(12, width, 24)
    peaks = torch.linspace(0.05, 0.65, len(rows) * len(columns)).view(len(rows), len(columns))
    # a point is the product of two profiles, so that all of them are two products of matrices
    frame += profiles(rows, height).T @ peaks @ profiles(columns, width)
    return frame.clamp(0, 1)[None, None]


def profiles(centres: Tensor, length: int) -> Tensor:
    """(N, length) of points at these places along one side."""
    return torch.exp(-((torch.arange(length) - centres[:, None]) ** 2) / (2 * 1.3**2))


def check(name: str, backend: Backend, network: DATransNet, limit: float = LIMIT) -> None:
    """Raises IrtrackError where an engine gives other scores than the torch form on a frame of points."""
    x = frame_of_points()
    with torch.inference_mode():
        worst = float((backend(x).sigmoid() - prepare(network, CPU)(x).sigmoid()).abs().max())
    if not worst <= limit:
        raise IrtrackError(f"backend {name} gives other scores than torch (by {worst:.2g}): use --backend torch")


def make_backend(name: str, network: DATransNet, path: Path | None = None) -> Backend:
    """An engine ready to run, checked against the torch form on one frame. Raises IrtrackError where it differs.

    `path`: an exported file, instead of exporting one.
    """
    if name in plugins.found(plugins.BACKENDS):
        other: Backend = plugins.load(plugins.BACKENDS, name)(network, torch.get_num_threads())
        check(name, other, network)
        return other
    if name not in NAMES:
        raise IrtrackError(f"unknown backend {name!r}: it is one of auto, {', '.join(NAMES)}")
    if name == "torch":
        return prepare(network, CPU)
    if name == "native":
        return native_form(network)
    if name not in available():
        extra = {"onnxruntime": "onnx", "openvino": "openvino"}[name]
        raise IrtrackError(f"backend {name} is not installed: pip install 'irtrack[{extra}]'")
    make = {"onnxruntime": onnxruntime_backend, "openvino": openvino_backend}[name]
    backend = make(path or cached_onnx(network), torch.get_num_threads())
    check(name, backend, network)
    return backend


def fastest(weights: Weights, whole: bool = True) -> str:
    """The fastest engine for these weights here, found by a short trial and remembered.

    `whole`: whether only whole frames will be run, which is all that some engines can do.
    """
    others = ["native"] if "native" in available() else available() if whole else []
    if not others:
        return "torch"
    memory = cache_folder() / "backends.json"
    key = " ".join([weights.name, str(weights.entry.get("sha256", "")), str(torch.get_num_threads()), *others])
    known = read_memory(memory)
    if known.get(key) in NAMES:
        return known[key]
    x = torch.rand(1, 1, *TRIAL_SIZE)
    engines: dict[str, Backend] = {}
    for name in ("torch", *others):
        try:
            engines[name] = make_backend(name, weights.network)
        except Exception as error:  # an engine that does not start is not the fastest
            log.warning("backend %s left out: %s", name, error)
    taken = dict.fromkeys(engines, float("inf"))
    with torch.inference_mode():
        for _ in range(TRIAL_ROUNDS):  # in turn, so that what else the machine does hits all alike
            for name, backend in engines.items():
                taken[name] = min(taken[name], seconds(backend, x))
    best = chosen(taken)
    remember(memory, known | {key: best})
    return best


def chosen(taken: dict[str, float]) -> str:
    """The engine to use, from the seconds of each: the faster of our own, unless another one is clearly faster."""
    own = min((n for n in taken if n in OWN), key=lambda n: taken[n])
    best = min(taken, key=lambda n: taken[n])
    return best if taken[best] < GAIN * taken[own] else own


def read_memory(path: Path) -> dict[str, str]:
    """What earlier trials found; nothing where the file is missing or damaged."""
    try:
        found = json.loads(read_text(path, 1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    known = found.items() if isinstance(found, dict) else ()
    return {key: name for key, name in known if isinstance(name, str)}


def remember(path: Path, known: dict[str, str]) -> None:
    """Keep what trials found; where it cannot be kept, the next run tries again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(path) as part:
            part.write_text(json.dumps(known, indent=1), encoding="utf-8")
    except OSError as error:
        log.warning("which engine is the fastest is not kept, since %s cannot be written: %s", path, error.strerror)


def seconds(backend: Backend, x: Tensor) -> float:
    """Time of one frame."""
    start = time.perf_counter()
    backend(x)
    return time.perf_counter() - start
