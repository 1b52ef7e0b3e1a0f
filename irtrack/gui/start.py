"""What stands in the empty picture: a place to drop a file on, and the ways to open something."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

import irtrack
from irtrack.gui.controls import named
from irtrack.gui.opening import Opener
from irtrack.session.session import Session

HINT = "Drop an infrared recording here, or press Ctrl+O"
RECENT = 4
"""So many of the recent sources have a button."""

LONGEST = 52
"""Letters of a source on its button; its end says most."""


class StartPage(QWidget):
    """Lies over the picture while there is none; `hint` says what is being done."""

    def __init__(self, picture: QWidget, session: Session, opener: Opener, open_: Callable[[str], None]) -> None:
        super().__init__(picture)
        self._session, self._open = session, open_
        self.hint = QLabel(HINT, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.hint.setObjectName("hint")
        self.area = QFrame()
        self.area.setObjectName("drop")
        self.area.setMinimumWidth(440)
        grid = QGridLayout()
        sample = sample_path()
        for i, (text, tip, act) in enumerate((
            ("Recording ...", "Open a recording (Ctrl+O)", opener.ask_recording),
            ("Camera ...", "Connect a camera (Ctrl+K)", opener.ask_camera),
            ("Sample clip", "Open the clip that comes with irtrack", partial(open_, str(sample))),
        )):  # fmt: skip
            button = QPushButton(text)
            named(button, text.removesuffix(" ..."), tip)
            button.clicked.connect(lambda _=False, run=act: run())
            button.setEnabled(text != "Sample clip" or sample.exists())
            grid.addWidget(button, 0, i)
        self._recent = QVBoxLayout()
        inner = QVBoxLayout(self.area)
        inner.setContentsMargins(28, 24, 28, 24)
        inner.setSpacing(12)
        inner.addWidget(self.hint)
        inner.addLayout(grid)
        inner.addLayout(self._recent)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addWidget(self.area, 0, Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(1)
        self.list_recent()
        picture.installEventFilter(self)

    def list_recent(self) -> None:
        """Buttons of the sources opened last."""
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for source in self._session.habits.recent[:RECENT]:
            short = source if len(source) <= LONGEST else f"... {source[-LONGEST:]}"
            button = QPushButton(short.replace("&", "&&"))
            button.setFlat(True)
            button.setMinimumHeight(26)
            named(button, f"Open {short} again", source)
            button.clicked.connect(lambda _=False, text=source: self._open(text))
            self._recent.addWidget(button)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """As large as the picture."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.resize(watched.size())
        return super().eventFilter(watched, event)


def sample_path() -> Path:
    """The clip that comes with irtrack, in a package or in a checkout."""
    package = Path(irtrack.__file__).parent
    packed = package / "_assets" / "sample.mkv"
    return packed if packed.exists() else package.parent / "assets" / "sample.mkv"
