"""A bound on what FFmpeg takes for one thing, such as a picture that a camera says is a gigabyte."""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache
from pathlib import Path

import av

MOST_BYTES = 192 << 20
"""One block of FFmpeg's memory: the raw counts of 100 megapixels, and more than any packet needs."""


@cache
def bound_allocations() -> bool:
    """Have FFmpeg refuse larger blocks, in this process; whether its library was found. What is refused is an error of
    the connection or the picture."""
    package = Path(av.__file__).parent
    for folder in (package.parent / "av.libs", package / ".dylibs"):
        for path in folder.glob("*avutil*"):
            with contextlib.suppress(OSError, AttributeError):
                bound = ctypes.CDLL(str(path)).av_max_alloc
                bound.argtypes, bound.restype = (ctypes.c_size_t,), None
                bound(MOST_BYTES)
                return True
    return False
