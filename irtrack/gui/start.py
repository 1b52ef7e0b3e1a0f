"""What stands in the empty picture: a place to drop a file on, and cards for what can be opened."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QIcon, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

import irtrack
from irtrack.capture.open import is_file
from irtrack.gui.fields import named
from irtrack.gui.opening import Opener
from irtrack.gui.theme import app_icon, camera_icon, open_icon, pictures_icon
from irtrack.gui.words import name_of
from irtrack.session.loading import Opened
from irtrack.session.session import Session
from irtrack.session.thumbnails import keep_thumbnail, thumbnail_path, tidy_thumbnails

HINT = "Drop an infrared recording here, or press Ctrl+O"
RECENT = 4
"""So many of the recent sources have a card."""


CARD_PX, GAP_PX, AROUND_PX = 132, 12, 40
"""Width of a card, what is between two, and what is left and right of them at least."""

HEAD_PX, ROW_PX, RECENT_PX = 150, 78, 170
"""Heights: of what is above and below, of a row of cards, of the recent ones with their title."""

THUMB = QSize(112, 80)


class StartPage(QWidget):
    """Lies over the picture while there is none; `hint` says what is being done."""

    def __init__(self, picture: QWidget, session: Session, opener: Opener, open_: Callable[[str], None]) -> None:
        super().__init__(picture)
        self._session, self._open = session, open_
        self.hint = QLabel(HINT, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.hint.setObjectName("hint")
        self.area = QFrame()
        self.area.setObjectName("drop")
        self._cards: list[QToolButton] = []
        self._recent_cards: list[QToolButton] = []
        sample = sample_path()
        for text, tip, icon, act in (
            ("Recording ...", "Open a recording (Ctrl+O)", open_icon(), opener.ask_recording),
            ("Folder ...", "Open a folder of images (Ctrl+Shift+O)", pictures_icon(), opener.ask_folder),
            ("Camera ...", "Connect a camera (Ctrl+K)", camera_icon(), opener.ask_camera),
            ("Sample clip", "Open the clip that comes with irtrack", app_icon(), partial(open_, str(sample))),
        ):
            made = card(text, text.removesuffix(" ..."), tip, icon, QSize(32, 32))
            made.clicked.connect(lambda _=False, run=act: run())
            made.setEnabled(text != "Sample clip" or sample.exists())
            self._cards.append(made)
        self._grid, self._recent = QGridLayout(), QHBoxLayout()
        self._recent_title = QLabel("Opened last")
        self._recent_title.setObjectName("hint")
        self._recent.addStretch(1)
        self._inner = inner = QVBoxLayout(self.area)
        self._grid.setHorizontalSpacing(GAP_PX)
        inner.addWidget(self.hint)
        inner.addLayout(self._grid)
        inner.addWidget(self._recent_title)
        inner.addLayout(self._recent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addStretch(1)
        layout.addWidget(self.area, 0, Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(1)
        self.list_recent()
        session.opened_one.connect(self._keep_thumbnail)
        picture.installEventFilter(self)

    def _keep_thumbnail(self, opened: Opened) -> None:
        """How what is open looks, for the next time; of those that are not listed any more it goes."""
        if opened.first is not None:
            keep_thumbnail(opened.name, opened.first.image)
        tidy_thumbnails(self._session.preferences.recent[:RECENT])

    def list_recent(self) -> None:
        """Cards of the sources opened last."""
        for made in self._recent_cards:
            self._recent.removeWidget(made)
            made.hide()
            made.deleteLater()
        self._recent_cards.clear()
        recent = self._session.preferences.recent[:RECENT]
        for source in recent:
            name = name_of(source)
            path = thumbnail_path(source)
            icon = QIcon(str(path)) if path.exists() else open_icon() if is_file(source) else camera_icon()
            made = card(name, f"Open {name} again", source, icon, THUMB)
            made.clicked.connect(lambda _=False, text=source: self._open(text))
            self._recent.insertWidget(len(self._recent_cards), made)
            self._recent_cards.append(made)
        self._fit()

    def _fit(self) -> None:
        """So many cards beside each other as there is room for; those of recent sources where a row of them has some
        (the menu File lists them too)."""
        columns = next((n for n in (len(self._cards), 2) if self.width() >= n * (CARD_PX + GAP_PX) + AROUND_PX), 1)
        for i, made in enumerate(self._cards):
            self._grid.addWidget(made, i // columns, i % columns)
        rows = math.ceil(len(self._cards) / columns)
        roomy = self.height() >= HEAD_PX + rows * (ROW_PX + GAP_PX)
        high, gap = (24, GAP_PX) if roomy else (8, 4)
        aside = 28 if self.width() >= columns * (CARD_PX + GAP_PX) + 2 * AROUND_PX else 10
        self._inner.setContentsMargins(aside, high, aside, high)
        self._inner.setSpacing(gap)
        wide = min(self.width() - AROUND_PX, len(self._cards) * (CARD_PX + GAP_PX))
        self.hint.setMinimumHeight(0)
        self.hint.setMinimumHeight(self.hint.heightForWidth(max(wide, CARD_PX)))  # else its second line has no room
        self._grid.setVerticalSpacing(gap)
        there = bool(self._recent_cards) and self.height() >= HEAD_PX + rows * (ROW_PX + GAP_PX) + RECENT_PX
        self._recent_title.setVisible(there)
        for i, made in enumerate(self._recent_cards):
            made.setVisible(there and i < columns)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """As large as the picture."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.resize(watched.size())
        return super().eventFilter(watched, event)


def card(text: str, name: str, tip: str, icon: QIcon, size: QSize) -> QToolButton:
    """A picture with a word under it. `tip` says what the word may be too short for."""
    made = QToolButton()
    made.setObjectName("card")
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    made.setIcon(icon)
    made.setIconSize(size)
    made.setFixedWidth(CARD_PX)
    short = made.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, CARD_PX - 16)
    made.setText(short.replace("&", "&&"))
    made.setMinimumHeight(made.sizeHint().height())  # the word stays whole
    named(made, name, tip)
    return made


def sample_path() -> Path:
    """The clip that comes with irtrack, in a package or in a checkout."""
    package = Path(irtrack.__file__).parent
    packed = package / "_assets" / "sample.mkv"
    return packed if packed.exists() else package.parent / "assets" / "sample.mkv"
