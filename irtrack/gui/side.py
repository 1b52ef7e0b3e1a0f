"""The side panel: controls in tabs, and under them the list of tracks."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy, QSplitter, QTabWidget, QVBoxLayout, QWidget

from irtrack.detect.manifest import read_manifest
from irtrack.gui.alarms import AlarmPanel
from irtrack.gui.controls import DetectionControls, DisplayControls
from irtrack.gui.table import TrackModel
from irtrack.gui.track_list import TrackList
from irtrack.gui.track_panel import TrackPanel
from irtrack.session.session import Session


class SidePanel(QWidget):
    """Tabs and list."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.detection = DetectionControls(session, sorted(read_manifest()))
        self.display = DisplayControls(session)
        self.track, self.alarms, self.tracks = TrackPanel(), AlarmPanel(session), TrackList(session)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Controls")
        self.tabs.setToolTip("Controls by subject")
        for title, page in (
            ("Detection", self.detection), ("Display", self.display), ("Track", self.track), ("Alarms", self.alarms),
        ):  # fmt: skip
            self.tabs.addTab(page, title)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.tabs)
        split.addWidget(self.tracks)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 360])
        split.setChildrenCollapsible(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(split)

    @property
    def table(self) -> TrackModel:
        """The tracks of the frame on screen."""
        return self.tracks.table
