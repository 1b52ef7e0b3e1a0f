"""The side panel: controls in tabs, and under them the list of tracks."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QSplitter, QTabWidget, QVBoxLayout, QWidget

from irtrack.detect.manifest import read_manifest
from irtrack.gui.alarms import AlarmPanel
from irtrack.gui.controls import DetectionControls, DisplayControls
from irtrack.gui.outputs import Outputs
from irtrack.gui.table import TrackModel
from irtrack.gui.track_list import TrackList
from irtrack.gui.track_panel import TrackPanel
from irtrack.gui.tracks import TrackEditor
from irtrack.session.session import Session

CONTROLS_PX, SHARE, LIST_PX = 300, 0.42, 260
"""Height of the tabs where there is room, or their share of it, and what is left to the list before they get it."""


class SidePanel(QWidget):
    """Tabs and list, with a line between them that can be moved. Until it is, the tabs are no higher on a small screen
    than their page needs, so that the list has what is left."""

    def __init__(self, session: Session, editor: TrackEditor, outputs: Outputs) -> None:
        super().__init__()
        self.detection = DetectionControls(session, sorted(read_manifest()))
        self.display = DisplayControls(session)
        self.track, self.alarms, self.tracks = TrackPanel(editor, outputs), AlarmPanel(session), TrackList(session)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Controls")
        self.tabs.setToolTip("Controls by subject")
        for title, page in (
            ("Detection", self.detection), ("Display", self.display), ("Track", self.track), ("Alarms", self.alarms),
        ):  # fmt: skip
            self.tabs.addTab(page, title)
        self._split, self._moved = QSplitter(Qt.Orientation.Vertical), False
        self._split.addWidget(self.tabs)
        self._split.addWidget(self.tracks)
        self._split.setStretchFactor(1, 1)
        self._split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._split)
        self._split.splitterMoved.connect(self._move)
        self.tabs.currentChanged.connect(lambda _: self._share())
        self._share()

    def _move(self) -> None:
        self._moved = True

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share()

    def _share(self) -> None:
        """The height among tabs and list."""
        preferred, ignored = QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored
        for page in (self.detection, self.display, self.track, self.alarms):  # the one on top alone claims height
            page.setSizePolicy(preferred, preferred if page is self.tabs.currentWidget() else ignored)
        if not self._moved:
            room = self._split.height()
            wanted = max(CONTROLS_PX, round(SHARE * room))
            upper = max(self.tabs.minimumSizeHint().height(), min(wanted, room - LIST_PX))
            self._split.setSizes([upper, room - upper])

    @property
    def table(self) -> TrackModel:
        """The tracks of the frame on screen."""
        return self.tracks.table
