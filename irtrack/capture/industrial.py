"""What sources of industrial cameras share: options behind the name, the camera's own clock and frame numbers."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from irtrack.core import SourceError

READ_TIMEOUT_S = 2.5
POLL_S = 0.2

HELP = "write NAME, then ,format=Mono16 ,fps=30 as needed"


@dataclass(frozen=True)
class IndustrialOptions:
    """What `genicam:NAME,key=value` asks for."""

    name: str
    format: str = ""
    fps: float | None = None


def parse(text: str) -> IndustrialOptions:
    """`genicam:NAME,format=Mono16,fps=30` or `aravis:...`; an empty name is the first camera. Raises SourceError."""
    name, *pairs = text.partition(":")[2].split(",")
    given: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in ("format", "fps") or not value:
            raise SourceError(f"{pair!r} is no option of a camera: {HELP}")
        given[key] = value
    try:
        fps = float(given["fps"]) if "fps" in given else None
    except ValueError:
        raise SourceError(f"fps={given['fps']} is no frame rate: {HELP}") from None
    return IndustrialOptions(name, given.get("format", ""), fps)


def deepest_mono(formats: Sequence[str]) -> str:
    """The grey format with the most bits that needs no unpacking, "" where there is none."""
    mono = [f for f in formats if re.fullmatch(r"Mono\d+", f)]
    return max(mono, key=lambda f: int(f[4:]), default="")


class CameraClock:
    """Frame numbers from 0 and times on this machine's clock, from those of the camera where it has them."""

    def __init__(self) -> None:
        self._first_id: int | None = None
        self._start: tuple[int, float] | None = None
        self._last = -1

    def __call__(self, frame_id: int | None, timestamp_ns: int | None) -> tuple[int, float]:
        """Index and seconds of a frame that arrives now. Numbers that stand still or fall are counted on instead."""
        index = self._last + 1
        if frame_id is not None:
            if self._first_id is None:
                self._first_id = frame_id
            index = max(index, frame_id - self._first_id)
        self._last = index
        now = time.monotonic()
        if not timestamp_ns:
            return index, now
        if self._start is None or timestamp_ns < self._start[0]:
            self._start = (timestamp_ns, now)
        return index, min(now, self._start[1] + (timestamp_ns - self._start[0]) / 1e9)
