"""A look at a camera before it is opened: its newest picture, its rate, or why there is none."""

from __future__ import annotations

import threading
import time

from irtrack.capture import open_source
from irtrack.core import Frame, IrtrackError, Source, Stoppable


class Preview:
    """Reads a source in a thread of its own; the newest frame, the rate and the state can be asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.frame: Frame | None = None
        self.state = "connecting ..."
        self.count = 0
        self._start_s = 0.0
        self._source: Source | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="irtrack-preview", daemon=True)
        self._thread.start()

    @property
    def rate(self) -> float:
        """Frames a second so far."""
        return self.count / max(time.monotonic() - self._start_s, 1e-3) if self.count > 1 else 0.0

    def _read(self) -> None:
        try:
            source = open_source(self.text, cancelled=lambda: self._closing)
            self._source = source
            if not source.live:
                raise IrtrackError(f"{source.info.name} is a recording, not a camera: open it with Ctrl+O")
            self._start_s = time.monotonic()
            for frame in source:
                if self._closing:
                    break
                self.frame, self.count, self.state = frame, self.count + 1, "live"
            if not self._closing:
                self.state = "it ended"
        except Exception as error:
            self.state = " ".join(str(error).split())
        finally:
            if self._source is not None:
                self._source.close()

    def close(self, wait_s: float = 2.0) -> None:
        """Let go of the camera."""
        self._closing = True
        if isinstance(self._source, Stoppable):
            self._source.stop()
        self._thread.join(wait_s)
