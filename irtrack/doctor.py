"""`irtrack doctor`: what is installed, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from importlib.metadata import PackageNotFoundError, distributions, version

from irtrack import __version__
from irtrack.core import IrtrackError


def installed(*names: str) -> str:
    """The first of these packages that is there, else the first."""
    found = (name for name in names if next(iter(distributions(name=name)), None) is not None)
    return next(found, names[0])


OPENCV = installed("opencv-python", "opencv-python-headless")
"""With its own windows, or without."""

PACKAGES = ("torch", OPENCV, "numpy", "scipy", "filterpy", "av", "tifffile", "safetensors", "pyqtgraph")


STATION = ("fastapi", "uvicorn", "websockets", "paho", "prometheus_client")
"""Modules of the extra `station`."""


def report() -> list[str]:
    """Lines that begin with `ok` or `missing`."""
    lines = [f"irtrack {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    for name in PACKAGES:
        try:
            lines.append(f"ok       {name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"missing  {name}: pip install {name}")
    return [*lines, window_line(), station_line(), compiler_line(), *torch_lines()]


def window_line() -> str:
    """Whether Qt can be loaded; on Linux it needs system libraries that pip does not bring."""
    try:
        importlib.import_module("PySide6.QtWidgets")
        return f"ok       PySide6 {version('PySide6-Essentials')}: the window can open where there is a display"
    except (ImportError, PackageNotFoundError) as error:
        hint = "" if sys.platform != "linux" else "; on Debian: apt install libgl1 libegl1 libxkbcommon0 libxcb-cursor0"
        return f"missing  PySide6 ({error}){hint}"


def station_line() -> str:
    """Whether what `irtrack serve` needs for its pages and for MQTT is there."""
    missing = [name for name in STATION if importlib.util.find_spec(name) is None]
    if missing:
        return f"missing  {', '.join(missing)}: pages and MQTT of irtrack serve; pip install 'irtrack[station]'"
    return f"ok       FastAPI {version('fastapi')}, paho-mqtt {version('paho-mqtt')}: irtrack serve has pages and MQTT"


def compiler_line() -> str:
    """Whether the network's kernels in C can be compiled."""
    from irtrack.detect.native.build import compiler, multiplies_bfloat16

    found = compiler()
    if found is None:
        return "missing  a C compiler: without one the network takes about twice as long on a CPU; install gcc"
    half = "; --precision bfloat16 makes them faster" if multiplies_bfloat16() else ", in float32 alone"
    return f"ok       C compiler {found}: the network's kernels are compiled for this processor on first use{half}"


def torch_lines() -> list[str]:
    """Device and models."""
    import torch

    from irtrack.detect.manifest import read_manifest
    from irtrack.detect.weights import load_weights

    lines = [
        f"ok       CUDA: {torch.cuda.get_device_name(0)}"
        if torch.cuda.is_available()
        else f"missing  CUDA: the network runs on the CPU with {torch.get_num_threads()} threads"
    ]
    try:
        for name in read_manifest():
            load_weights(name)
            lines.append(f"ok       model {name}")
    except IrtrackError as error:
        lines.append(f"missing  {error}")
    return lines
