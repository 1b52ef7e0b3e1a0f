"""The dialog that connects a camera: what is found, a URL, a test with a picture, and what was connected before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QImage, QPixmap
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from irtrack.capture.camera import FoundCamera
from irtrack.capture.find import find_all
from irtrack.gui.dialogs import within
from irtrack.imaging.agc import Agc
from irtrack.session.preview import Preview

TICK_MS = 50
PREVIEW, LEAST_PREVIEW = (384, 288), (192, 144)
"""Of the picture, and what is left of it on a small screen."""
PLACE = "rtsp://user:password@camera/ir   or   camera:0,format=Y16"


class CameraDialog(QDialog):
    """`source` is what was chosen. `remembered`: SOURCE texts of before, the newest first."""

    def __init__(
        self, parent: QWidget | None, remembered: Sequence[str], find: Callable[[], list[FoundCamera]] = find_all
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect a camera")
        self.resize(within(self, 860, 420))
        self.source = ""
        self._find, self._preview = find, None
        self._found: queue.SimpleQueue[list[FoundCamera]] = queue.SimpleQueue()
        self._agc = Agc()
        self._build(remembered)
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self.look()

    _preview: Preview | None

    def _build(self, remembered: Sequence[str]) -> None:
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setAccessibleName("Cameras found and used before")
        self.list.setToolTip("Click to choose, double-click to connect")
        self.list.itemClicked.connect(self._choose)
        self.list.itemSelectionChanged.connect(self._select)  # by the arrow keys
        self.list.itemDoubleClicked.connect(lambda _: self.accept())
        self._remembered = list(remembered)
        self.search = QPushButton("Look again")
        self.search.setToolTip("Look for cameras on this machine and on its network")
        self.search.clicked.connect(self.look)
        self.field = QLineEdit()
        self.field.setPlaceholderText(PLACE)
        self.field.setAccessibleName("Address of the camera")
        self.field.setToolTip("Any SOURCE: a URL, camera:N, genicam:ID, aravis:NAME")
        self.field.textChanged.connect(self._changed)
        self.test_button = QPushButton("Test")
        self.test_button.setToolTip("Connect and show a picture, without tracking")
        self.test_button.clicked.connect(self.test)
        self.picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.picture.setMinimumSize(*LEAST_PREVIEW)
        self.picture.setMaximumSize(*PREVIEW)
        self.picture.setObjectName("preview")
        self.picture.setAccessibleName("Picture of the camera")
        self.state = QLabel("choose a camera, or type its address", wordWrap=True)
        self.state.setAccessibleName("State of the test")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.connect_button = self.buttons.addButton("Connect", QDialogButtonBox.ButtonRole.AcceptRole)
        self.connect_button.setToolTip("Open this camera in the window")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        left.addWidget(self.search)
        right = QVBoxLayout()
        right.addWidget(self.picture, 1)
        right.addWidget(self.state)
        top = QHBoxLayout()
        top.addLayout(left, 1)
        top.addLayout(right, 1)
        line = QHBoxLayout()
        line.addWidget(self.field, 1)
        line.addWidget(self.test_button)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addLayout(line)
        layout.addWidget(self.buttons)
        self._list([])
        self._changed("")
        self.field.setFocus()

    def _list(self, found: Sequence[FoundCamera]) -> None:
        self.list.clear()
        shown = [(c.source, f"{c.name}   {c.source}") for c in found]
        shown += [(f"{c.source},format=Y16", f"{c.name}, 16 bits   {c.source},format=Y16") for c in found
                  if "Y16" in c.formats]  # fmt: skip
        shown += [(s, f"used before   {s}") for s in self._remembered if s not in {source for source, _ in shown}]
        for source, text in shown:
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, source)
            self.list.addItem(item)

    def _say_none(self) -> None:
        """Nothing was found: that is said where it would stand, and is nothing to choose."""
        item = QListWidgetItem("no camera was found on this machine or its network: type its address below")
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.list.insertItem(0, item)

    def _select(self) -> None:
        for item in self.list.selectedItems():
            self._choose(item)

    def _choose(self, item: QListWidgetItem) -> None:
        self.field.setText(str(item.data(Qt.ItemDataRole.UserRole)))

    def _changed(self, text: str) -> None:
        for button in (self.test_button, self.connect_button):
            button.setEnabled(bool(text.strip()))

    def look(self) -> None:
        """Look for cameras in the background."""
        self.search.setEnabled(False)
        self.search.setText("looking ...")
        threading.Thread(target=lambda: self._found.put(self._find()), name="irtrack-find", daemon=True).start()

    def test(self) -> None:
        """Connect to what the field says and show its picture."""
        self._end_preview()
        self.picture.clear()
        self._preview = Preview(self.field.text().strip())

    def _tick(self) -> None:
        if not self._found.empty():
            found = self._found.get()
            self._list(found)
            if not found:
                self._say_none()
            self.search.setEnabled(True)
            self.search.setText("Look again")
        p = self._preview
        if p is None:
            return
        self.state.setText(p.state)
        frame = p.frame
        if frame is None:
            return
        h, w = frame.image.shape
        grey = self._agc(frame.image)
        image = QImage(grey.tobytes(), w, h, w, QImage.Format.Format_Grayscale8)
        self.picture.setPixmap(QPixmap.fromImage(image).scaled(self.picture.size(), Qt.AspectRatioMode.KeepAspectRatio))
        if p.state == "live":
            self.state.setText(f"live: {w}x{h}, {8 * frame.image.dtype.itemsize} bits, {p.rate:.1f} frames a second")

    def _end_preview(self) -> None:
        if self._preview is not None:
            self._preview.close()
            self._preview = None

    def accept(self) -> None:
        """Connect: the camera is let go of first, most allow one user only."""
        self.source = self.field.text().strip()
        if self.source:
            self._end()
            super().accept()

    def reject(self) -> None:
        self._end()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._end()
        super().closeEvent(event)

    def _end(self) -> None:
        self._timer.stop()
        self._end_preview()
