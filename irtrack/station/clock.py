"""Coordinated universal time of frames, and how far it may be off."""

from __future__ import annotations

import ctypes
import sys
import time
from datetime import UTC, datetime, timedelta

UNSYNCHRONISED = 0x40
"""STA_UNSYNC of Linux: nobody sets the clock."""


class Timex(ctypes.Structure):
    """`struct timex` of Linux, as far as it is read here; the system fills the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def utc_of(captured_s: float) -> datetime:
    """When the monotonic clock showed `captured_s`, by the clock of now: one that was set meanwhile is right again."""
    return datetime.now(UTC) - timedelta(seconds=time.monotonic() - captured_s)


def clock_error_s() -> float | None:
    """How far the machine's clock may be off, as the system bounds it; None where it does not know."""
    if not sys.platform.startswith("linux"):
        return None
    about = Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(about))
    except (OSError, AttributeError):
        return None
    if state < 0 or about.status & UNSYNCHRONISED:
        return None
    return float(about.maxerror) / 1e6
