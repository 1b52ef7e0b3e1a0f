"""Compiles the C sources of this folder on the user's machine, once."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from irtrack.core import IrtrackError

FOLDER = Path(__file__).parent
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
COMPILE_S = 120.0


def compiler() -> str | None:
    """The C compiler's path: `$CC`, else gcc or cc.

    On Linux not clang: its threads are not those of torch, which there come from gcc's OpenMP library, and with both at
    work a frame took six times as long.
    """
    paths = [path for name in (os.environ.get("CC", ""), "gcc", "cc") if name and (path := shutil.which(name))]
    fits = [p for p in paths if sys.platform != "linux" or "clang" not in Path(p).resolve().name]
    return fits[0] if fits else None


def processor() -> str:
    """What decides on which machines code for this one runs."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))


def load_library(cache: Path) -> ctypes.CDLL:
    """The compiled sources, from `cache` if they are there. Raises IrtrackError.

    The file's name changes with the sources, the compiler and the processor.
    """
    cc = compiler()
    if cc is None:
        raise IrtrackError("backend native needs a C compiler: install gcc, or use --backend torch")
    texts = [p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.[chi]*"))]
    key = hashlib.sha256("\0".join([*texts, cc, *FLAGS, processor()]).encode()).hexdigest()
    path = cache / f"native-{key[:16]}.so"
    try:
        if path.exists():
            with contextlib.suppress(OSError):  # damaged: compiled again
                return ctypes.CDLL(str(path))
        compile_to(path, cc)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise IrtrackError(f"backend native does not load ({error}): use --backend torch") from error


def compile_to(path: Path, cc: str) -> None:
    """Run the compiler; the file appears whole or not at all. Raises IrtrackError or OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    sources = [str(p) for p in sorted(FOLDER.glob("*.c"))]
    try:
        done = subprocess.run(
            [cc, *FLAGS, "-o", str(part), *sources], capture_output=True, text=True, timeout=COMPILE_S, check=False
        )
        if done.returncode:
            why = next((line for line in done.stderr.splitlines() if "error" in line), f"exit {done.returncode}")
            raise IrtrackError(f"backend native does not compile here ({why.strip()}): use --backend torch")
        part.replace(path)
    except subprocess.TimeoutExpired as error:
        raise IrtrackError("backend native: the compiler takes too long; use --backend torch") from error
    finally:
        part.unlink(missing_ok=True)
