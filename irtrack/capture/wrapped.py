"""What sources round another source share."""

from __future__ import annotations

from datetime import datetime

from irtrack.core import Source, SourceStatus, Stoppable


class WrappedSource(Source):
    """As the source within, but for what a subclass does to its frames."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.live, self.info = source.live, source.info

    def status(self) -> SourceStatus:
        """As the source."""
        return self.source.status()

    @property
    def state(self) -> object:
        """Of the connection, where the source has one."""
        return getattr(self.source, "state", None)

    @property
    def started(self) -> datetime | None:
        """When the seconds of a camera's frames began to count, UTC; None for a recording."""
        return getattr(self.source, "started", None)

    def seek(self, index: int) -> None:
        """As the source."""
        self.source.seek(index)

    def stop(self) -> None:
        """As the source, where it can."""
        if isinstance(self.source, Stoppable):
            self.source.stop()

    def close(self) -> None:
        """As the source."""
        self.source.close()
