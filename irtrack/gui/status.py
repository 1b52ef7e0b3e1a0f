"""The status line: rates, latency, drops, device, and the pixel under the cursor."""

from __future__ import annotations

import math

from PySide6.QtWidgets import QDialogButtonBox, QLabel, QStatusBar

from irtrack.core import Frame, Remarks, status_of
from irtrack.gui.controls import small_button
from irtrack.gui.dialogs import TextDialog
from irtrack.gui.fields import Elided
from irtrack.session.picture import Picture
from irtrack.session.session import Session
from irtrack.session.standing import Figures, remarks_of

NOTES = "What should be known of what was read"


class StatusLine(QStatusBar):
    """Shows figures, and passing messages in their place."""

    def __init__(self) -> None:
        super().__init__()
        self._rates, self._where = Elided(), QLabel()
        self.notes = small_button("", NOTES)
        self.notes.clicked.connect(self._show_notes)
        self.notes.hide()
        self._rates.setAccessibleName("Rates and latency")
        self._where.setAccessibleName("Pixel under the cursor")
        self.setContentsMargins(6, 0, 0, 0)
        self.addWidget(self._rates, 1)
        self.addPermanentWidget(self.notes)
        self.addPermanentWidget(self._where)
        self.reset()

    def reset(self) -> None:
        """Forget the figures of the last source."""
        self._figures = Figures()
        self._said: set[str] = set()
        self._rates.show_text("")
        self.notes.hide()

    def drew(self, picture: Picture) -> None:
        """A picture was put on screen just now."""
        self._figures.drew(picture)

    def say(self, text: str) -> None:
        """A passing message."""
        self.showMessage(text, 6000)

    def _note(self, remarks: Remarks) -> None:
        """What became known of what is read: in passing, once each, and all of it behind a button."""
        texts = remarks.counts().keys()
        for text in texts - self._said:
            self.say(text)
        self._said = set(texts)
        self.notes.setText(f"{len(texts)} note{'s' * (len(texts) != 1)}")
        self.notes.setToolTip("\n".join(remarks.lines()) or NOTES)
        self.notes.setVisible(bool(texts))

    def _show_notes(self) -> None:
        dialog = TextDialog(self.window(), "Notes", self.notes.toolTip())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        dialog.rows.addWidget(buttons)
        dialog.open()

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
        if session.camera_state in ("live", ""):  # what is said of a loss is true once it is over
            self._note(remarks_of(session))
