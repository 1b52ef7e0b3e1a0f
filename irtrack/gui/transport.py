"""The transport of a recording: play, step, seek, speed, loop and part, and a timeline of the tracks' lives."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget

from irtrack.gui.player import Player
from irtrack.gui.theme import ACCENT, BACKGROUND, DIM, pause_icon, play_icon, step_icon
from irtrack.sinks.draw import identity_colour

SPEEDS: dict[str, float | None] = {
    "1/8x": 0.125, "1/4x": 0.25, "1/2x": 0.5, "1x": 1.0, "2x": 2.0, "4x": 4.0, "8x": 8.0, "Every frame": None,
}  # fmt: skip
"""Times real time; the last shows every frame as soon as it is ready."""

LANES, LANE_PX = 8, 4


def lanes(lives: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """A lane for each track so that lives that overlap lie in different ones, as far as `LANES` go."""
    ends: list[int] = []
    out = {}
    for track, (first, last) in sorted(lives.items(), key=lambda item: item[1]):
        lane = next((i for i, end in enumerate(ends) if end < first), len(ends))
        if lane == len(ends) and lane < LANES:
            ends.append(last)
        lane = min(lane, LANES - 1)
        ends[lane] = max(ends[lane], last)
        out[track] = lane
    return out


class Timeline(QWidget):
    """When each confirmed track lived, over the whole recording; a click seeks."""

    sought = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Timeline of tracks")
        self.setToolTip("When each track lives: click to go there")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._lives: dict[int, tuple[int, int]] = {}
        self._lanes: dict[int, int] = {}
        self._total, self.position, self.selected = 0, 0, -1
        self.span: tuple[int, int] | None = None

    def sizeHint(self) -> QSize:
        return QSize(200, LANES * LANE_PX + 4)

    def show_lives(self, lives: Mapping[int, tuple[int, int]], total: int) -> None:
        """Redraw, if there is anything new."""
        if lives != self._lives or total != self._total:
            self._lives, self._total = dict(lives), total
            self._lanes = lanes(lives)
        self.update()

    def _x(self, frame: float) -> float:
        return frame / max(self._total, 1) * self.width()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(BACKGROUND))
        if self.span is not None:
            a, b = (self._x(v) for v in (self.span[0], self.span[1] + 1))
            painter.fillRect(QRectF(a, 0, b - a, self.height()), QColor("#2d343a"))
        for track, (first, last) in self._lives.items():
            colour = QColor(*identity_colour(track))
            colour.setAlpha(255 if self.selected in (-1, track) else 110)
            width = max(2.0, self._x(last + 1) - self._x(first))
            painter.fillRect(QRectF(self._x(first), 2 + self._lanes[track] * LANE_PX, width, LANE_PX - 1), colour)
        painter.fillRect(QRectF(self._x(self.position), 0, 1.5, self.height()), QColor(ACCENT))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._total:
            at = int(event.position().x() / max(self.width(), 1) * self._total)
            self.sought.emit(max(0, min(at, self._total - 1)))


class Transport(QWidget):
    """Widgets alone: what they do is the window's matter."""

    toggled = Signal()
    stepped = Signal(int)
    sought = Signal(int)
    speed_changed = Signal(object)
    span_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.play_button = button(play_icon(), "Play or pause (Space)")
        self.back_button = button(step_icon(False), "One frame back (Left)")
        self.forward_button = button(step_icon(True), "One frame on (Right)")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Position in the recording")
        self.slider.setToolTip("Position in the recording: drag or click to seek")
        self.timeline = Timeline()
        self.time_label = QLabel()
        self.time_label.setObjectName("time")
        self.speed_box = QComboBox()
        self.speed_box.addItems(list(SPEEDS))
        self.speed_box.setCurrentText("1x")
        self.speed_box.setToolTip("Speed; Every frame: as fast as detection goes")
        self.speed_box.setAccessibleName("Speed")
        self.loop_button = text_button("Loop", "Start over at the end (L)", checkable=True)
        self.from_button = text_button("A", "Play from this frame on ([)", checkable=True)
        self.to_button = text_button("B", "Play up to this frame (])", checkable=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 4)
        for widget in (self.back_button, self.play_button, self.forward_button):
            row.addWidget(widget)
        column = QVBoxLayout()
        column.setSpacing(1)
        column.addWidget(self.slider)
        column.addWidget(self.timeline)
        row.addLayout(column, 1)
        row.addWidget(self.time_label)
        for last in (self.from_button, self.to_button, self.loop_button, self.speed_box):
            row.addWidget(last)
        self.play_button.clicked.connect(self.toggled)
        self.back_button.clicked.connect(lambda: self.stepped.emit(-1))
        self.forward_button.clicked.connect(lambda: self.stepped.emit(1))
        self.slider.valueChanged.connect(self.sought)
        self.timeline.sought.connect(self.sought)
        self.speed_box.currentTextChanged.connect(lambda text: self.speed_changed.emit(SPEEDS[text]))
        for part in (self.from_button, self.to_button):
            part.toggled.connect(lambda _: self.span_changed.emit())

    def show_position(self, index: int, time_s: float, player: Player) -> None:
        """The frame on screen."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(index)
        self.timeline.position = index
        self.timeline.update()
        total = player.frames
        seconds = f"{time_s:8.2f} s" if not player.live else "live"
        self.time_label.setText(f"{index}" + (f" / {total - 1}" if total else "") + f"   {seconds}")

    def refresh(self, player: Player) -> None:
        """What can be done now."""
        opened, live = player.opened is not None, player.live
        self.play_button.setIcon(pause_icon() if player.playing and opened else play_icon())
        self.play_button.setEnabled(opened)
        recording = opened and not live
        for widget in (
            self.slider, self.back_button, self.forward_button, self.speed_box, self.loop_button, self.from_button,
            self.to_button,
        ):  # fmt: skip
            widget.setEnabled(recording)
        self.timeline.setVisible(recording)
        total = player.frames
        if total and self.slider.maximum() != total - 1:
            with QSignalBlocker(self.slider):
                self.slider.setRange(0, total - 1)
        self.timeline.span = player.span
        if recording:
            self.timeline.show_lives(player.edits.lives(player.store.lives()), total or 0)


def button(icon: QIcon, tip: str) -> QToolButton:
    """A button with a drawn icon."""
    made = QToolButton()
    made.setIcon(icon)
    made.setToolTip(tip)
    made.setAccessibleName(tip.split(" (")[0])
    return made


def text_button(text: str, tip: str, checkable: bool = False) -> QToolButton:
    """A button with a word."""
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tip)
    made.setAccessibleName(tip.split(" (")[0])
    made.setCheckable(checkable)
    made.setStyleSheet(f"QToolButton {{ color: {DIM}; }} QToolButton:checked {{ color: {ACCENT}; }}")
    return made
