"""A source whose frames somebody else sees too, whether or not they are processed: for recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from irtrack.capture.wrapped import WrappedSource
from irtrack.core import Frame, SinkError, Source, SourceStatus


class Taker(Protocol):
    """Takes frames without waiting."""

    def __call__(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class TeeSource(WrappedSource):
    """Every frame of a source, given to `taker` as it is captured; closing it closes both.

    A taker that fails is left out: the source goes on, and `close` raises its error.
    """

    def __init__(self, source: Source, taker: Taker) -> None:
        super().__init__(source)
        self._taker = taker
        self.failed: SinkError | None = None

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            if self.failed is None:
                try:
                    self._taker(frame)
                except SinkError as error:
                    self.failed = error
            yield frame

    def status(self) -> SourceStatus:
        """As the source, and why the taker failed."""
        return replace(self.source.status(), failed=self.failed)

    def close(self) -> None:
        """End both. Raises SinkError where the recording could not be finished."""
        try:
            self.source.close()
        finally:
            self._taker.close()
