"""Compiles the C sources of this folder on the user's machine, once."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from irtrack.core import IrtrackError
from irtrack.paths import sha256_of

FOLDER = Path(__file__).parent
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
COMPILE_S = 120.0

log = logging.getLogger(__name__)


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


def multiplies_bfloat16() -> bool:
    """Whether this processor has VDPBF16PS, which adds two products of bfloat16 to each float of a vector."""
    return {"avx512_bf16", "avx512bw", "avx512vl"} <= set(processor().split())


LOADED: dict[str, ctypes.CDLL] = {}
"""Libraries that could not be kept, by their keys: one compilation for each run is enough."""


def load_library(cache: Path, half: bool = False) -> ctypes.CDLL:
    """The compiled sources, for maps in bfloat16 if `half`, from `cache` if they are there. Raises IrtrackError.

    The file's name changes with the sources, the compiler and the processor, and says what the file must hold. Only
    what belongs to the user and nobody else may write is loaded. Where the folder cannot be used, the library is
    compiled for this run alone.
    """
    cc = compiler()
    if cc is None:
        raise IrtrackError("backend native needs a C compiler: install gcc, or use --backend torch")
    texts = [p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.[chi]*"))]
    command = [cc, *FLAGS, *(["-DHALF"] if half else [])]
    key = hashlib.sha256("\0".join([*texts, *command, processor()]).encode()).hexdigest()[:16]
    if key in LOADED:
        return LOADED[key]
    try:
        return kept_library(cache, key, command)
    except OSError as error:
        log.warning("kernels are compiled for this run alone, since %s cannot keep them: %s", cache, why(error))
    try:
        with tempfile.TemporaryDirectory(prefix="irtrack-") as own:
            LOADED[key] = kept_library(Path(own), key, command)
            return LOADED[key]
    except OSError as error:
        raise IrtrackError(f"backend native does not load ({why(error)}): use --backend torch") from error


def why(error: OSError) -> str:
    """What the operating system says, in its words alone."""
    return error.strerror or str(error)


def kept_library(cache: Path, key: str, command: list[str]) -> ctypes.CDLL:
    """The library from a folder, compiled into it first where it is not there or not whole. Raises OSError."""
    make_private(cache)
    for path in sorted(cache.glob(f"native-{key}-*.so")):
        if is_whole(path):
            with contextlib.suppress(OSError):
                return ctypes.CDLL(str(path))
        path.unlink()
    return ctypes.CDLL(str(compile_into(cache, key, command)))


def make_private(folder: Path) -> None:
    """Create a folder that its owner alone may write, or make it so; what others may have put there to be loaded goes.

    Raises OSError where it belongs to another, or lies where anybody may put another in its place.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not hasattr(os, "getuid"):  # Windows: folders of users are theirs
        return
    state = folder.stat()
    if state.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to another user")
    for above in folder.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PermissionError(errno.EPERM, f"anybody may write to {above}")
    if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)
        for path in (*folder.glob("native-*.so"), *folder.glob("*.onnx")):
            path.unlink()


def is_whole(path: Path) -> bool:
    """Whether a file is what its name says, a plain one of this user that nobody else may write.

    What is cut off or changed would end the program with a signal once it is loaded.
    """
    return is_own(path) and path.stem.endswith("-" + digest(path))


def is_own(path: Path) -> bool:
    """Whether it is a plain file of this user that nobody else may write."""
    state = path.lstat()
    owned = not hasattr(os, "getuid") or (state.st_uid == os.getuid() and not state.st_mode & 0o022)
    return stat.S_ISREG(state.st_mode) and owned


def digest(path: Path) -> str:
    """Of a file's bytes, short enough for a name."""
    return sha256_of(path)[:32]


def compile_into(folder: Path, key: str, command: list[str]) -> Path:
    """Run the compiler; the file appears whole or not at all. Raises IrtrackError or OSError."""
    sources = [str(p) for p in sorted(FOLDER.glob("*.c"))]
    with tempfile.TemporaryDirectory(prefix="part-", dir=folder) as own:
        part = Path(own) / "native.so"
        run_compiler([*command, "-o", str(part), *sources])
        part.chmod(0o600)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        path = folder / f"native-{key}-{digest(part)}.so"
        part.replace(path)
    return path


def run_compiler(command: list[str]) -> None:
    """Raises IrtrackError, and OSError where the disk is full."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise IrtrackError("backend native: the compiler takes too long; use --backend torch") from error
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, "no space is left")
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), f"exit {done.returncode}")
        raise IrtrackError(f"backend native does not compile here ({reason.strip()}): use --backend torch")
