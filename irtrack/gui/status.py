"""The status line: rates, latency, drops, device, and the pixel under the cursor."""

from __future__ import annotations

import math

from PySide6.QtWidgets import QLabel, QStatusBar

from irtrack.core import Frame, Remarks, status_of
from irtrack.gui.fields import Elided
from irtrack.session.picture import Picture
from irtrack.session.session import Session
from irtrack.session.standing import Figures


class StatusLine(QStatusBar):
    """Shows figures, and passing messages in their place."""

    def __init__(self) -> None:
        super().__init__()
        self._rates, self._where = Elided(), QLabel()
        self._rates.setAccessibleName("Rates and latency")
        self._where.setAccessibleName("Pixel under the cursor")
        self.addWidget(self._rates, 1)
        self.addPermanentWidget(self._where)
        self.reset()

    def reset(self) -> None:
        """Forget the figures of the last source."""
        self._figures = Figures()
        self._said: set[str] = set()
        self._rates.show_text("")

    def drew(self, picture: Picture) -> None:
        """A picture was put on screen just now."""
        self._figures.drew(picture)

    def say(self, text: str) -> None:
        """A passing message."""
        self.showMessage(text, 6000)

    def _say_remarks(self, remarks: Remarks) -> None:
        """What became known of a camera, once each: pictures left out, another size."""
        for text in remarks.counts():
            if text not in self._said:
                self._said.add(text)
                self.say(text)

    def point(self, x: int, y: int, frame: Frame | None) -> None:
        """Position and value under the cursor, in degrees too where the picture says how; nothing outside of it."""
        if frame is None or x < 0:
            self._where.setText("")
            return
        count = int(frame.image[y, x])
        degrees = float(frame.celsius(count)) if frame.celsius is not None else math.nan
        warm = f"  {degrees:.1f} °C" if degrees == degrees else ""
        self._where.setText(f"x {x}  y {y}  value {count}{warm}")

    def refresh(self, session: Session) -> None:
        """Write the figures."""
        analysis = session.analysis
        status = status_of(analysis.pipeline.detector if analysis is not None else None)
        self._rates.show_text(self._figures.text(session), status.choice)
        if analysis is not None and session.camera_state == "live":  # what is said of a loss is true once it is over
            self._say_remarks(analysis.pipeline.source.info.remarks)
