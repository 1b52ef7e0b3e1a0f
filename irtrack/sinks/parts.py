"""A log whose pictures change their size or depth: what was written is closed, and a new file goes on."""

from __future__ import annotations

from collections.abc import Callable

from irtrack.core import FrameResult, Sink
from irtrack.sinks.target import Target


class Parts:
    """A sink for each stretch of frames of one kind: OUT.csv, OUT.part2.csv and so on."""

    def __init__(self, target: Target, make: Callable[[Target], Sink], following: Callable[[Target], Target]) -> None:
        """`following` claims the next file."""
        self._target, self._make, self._following = target, make, following
        self._sink = make(target)
        self._kind: tuple[object, object] | None = None

    def write(self, result: FrameResult) -> None:
        """Into the file of its kind of picture. Raises SinkError."""
        image = result.frame.image
        kind = (image.shape, image.dtype)
        if self._kind not in (None, kind):
            self._sink.close()
            self._target = self._following(self._target)
            self._sink = self._make(self._target)
        self._kind = kind
        self._sink.write(result)

    def close(self) -> None:
        """Close the last one. Raises SinkError."""
        self._sink.close()
