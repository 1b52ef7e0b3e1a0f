"""A source whose frames somebody else sees too, whether or not they are processed: for recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from irtrack.core import Frame, Source


class Taker(Protocol):
    """Takes frames without waiting."""

    def __call__(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class TeeSource:
    """Every frame of a source, given to `taker` as it is captured; closing it closes both."""

    def __init__(self, source: Source, taker: Taker) -> None:
        self.source, self._taker = source, taker
        self.live, self.info = source.live, source.info

    @property
    def state(self) -> object:
        """Of the connection, where the source has one."""
        return getattr(self.source, "state", None)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            self._taker(frame)
            yield frame

    def seek(self, index: int) -> None:
        """As the source."""
        self.source.seek(index)

    def close(self) -> None:
        """End both. Raises SinkError where the recording could not be finished."""
        try:
            self.source.close()
        finally:
            self._taker.close()
