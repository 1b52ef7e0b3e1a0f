"""What sources round another source share."""

from __future__ import annotations

from irtrack.core import Source, SourceStatus, Stoppable


class WrappedSource(Source):
    """As the source within, but for what a subclass does to its frames."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.live, self.info = source.live, source.info

    def status(self) -> SourceStatus:
        """As the source."""
        return self.source.status()

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
