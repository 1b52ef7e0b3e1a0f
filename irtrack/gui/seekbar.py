"""Position in a recording or in what is kept of a camera, what of it is analysed, and when each track lives."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractSlider, QSizePolicy

from irtrack.gui.theme import ACCENT, BACKGROUND, DIM, TEXT
from irtrack.session.course import LANES, Course, lanes
from irtrack.sinks.draw import identity_colour

LANE_PX, BAND_PX = 5, 8
SPAN, ANALYSED, OLDER, AGAIN = "#2d343a", "#56616b", "#8a6a1f", "#4fb286"
JUMP = 30
"""Frames that playing does not leave out."""

FEWEST = 10
"""Frames that are in view when it is zoomed in as far as it goes."""


class SeekBar(QAbstractSlider):
    """A click or a drag goes there, a click on a track's bar selects it as well; the wheel zooms, a double click shows
    all again."""

    track_picked = Signal(int)
    _zoom: tuple[float, float] | None = None
    _before = 0

    def __init__(self) -> None:
        super().__init__()
        self.setOrientation(Qt.Orientation.Horizontal)
        self.setAccessibleName("Position in the recording")
        self.setToolTip(
            "Position: click or drag to go there; on a track's bar to select it; the wheel, or the arrow keys up and "
            "down, zooms, a double click shows all. Light: analysed; amber: with older settings"
        )
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.course = Course()
        self._lanes: dict[int, int] = {}

    def sizeHint(self) -> QSize:
        return QSize(300, BAND_PX + LANES * LANE_PX + 6)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self.sizeHint().height())

    def show_course(self, course: Course, reach: tuple[int, int]) -> None:
        """What can be gone to, and what is known of it."""
        if course.lives != self.course.lives:
            self._lanes = lanes(course.lives)
        self.course = course
        if reach != (self.minimum(), self.maximum()):
            blocked = self.blockSignals(True)
            self.setRange(*reach)
            self.blockSignals(blocked)
            if self._zoom is not None and not (reach[0] <= self._zoom[0] and self._zoom[1] <= reach[1] + 1):
                self._zoom = None
        self.update()

    @property
    def _in_view(self) -> tuple[float, float]:
        return self._zoom or (float(self.minimum()), float(self.maximum() + 1))

    def sliderChange(self, change: QAbstractSlider.SliderChange) -> None:
        """Zoomed in, the view goes on with the position that leaves it or is gone to."""
        super().sliderChange(change)
        before, self._before = self._before, self.value()
        if self._zoom is None or change is not QAbstractSlider.SliderChange.SliderValueChange:
            return
        low, high = self._zoom
        was_in_view = low <= before < high
        if not low <= self.value() < high and (was_in_view or abs(self.value() - before) > JUMP):
            first, last = float(self.minimum()), float(self.maximum() + 1)
            low = min(max(self.value() - (high - low) * 0.1, first), last - (high - low))
            self._zoom = low, low + self._zoom[1] - self._zoom[0]

    def _x(self, frame: float) -> float:
        low, high = self._in_view
        return (frame - low) / max(high - low, 1e-9) * self.width()

    def _frame(self, x: float) -> float:
        low, high = self._in_view
        return low + x / max(self.width(), 1) * (high - low)

    def _bar(self, first: float, last: float, y: float, height: float) -> QRectF:
        """Of frames `first` to `last`, at least so wide that it can be seen."""
        a, b = self._x(first), self._x(last + 1)
        return QRectF(a, y, max(2.0, b - a), height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, course = QPainter(self), self.course
        painter.fillRect(self.rect(), QColor(BACKGROUND))
        if not self.isEnabled():
            return
        if course.span is not None:
            painter.fillRect(self._bar(*course.span, 0, self.height()), QColor(SPAN))
        if course.analysed is not None:
            painter.fillRect(self._bar(*course.analysed, 2, BAND_PX - 3), QColor(OLDER if course.older else ANALYSED))
        if course.again is not None:
            low, high = self.minimum(), self.maximum() + 1
            painter.fillRect(self._bar(low, low + course.again * (high - low) - 1, 2, BAND_PX - 3), QColor(AGAIN))
        for track, (first, last) in course.lives.items():
            colour = QColor(*identity_colour(track))
            colour.setAlpha(255 if course.selected in (None, track) else 110)
            painter.fillRect(self._bar(first, last, self._lane_y(track), LANE_PX - 1), colour)
        x = self._x(self.value() + 0.5)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(QRectF(x - 0.75, 0, 1.5, self.height()), QColor(ACCENT))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ACCENT))
        painter.drawEllipse(QPointF(x, BAND_PX / 2 + 0.5), 5, 5)
        if self._zoom is not None:
            painter.setPen(QColor(TEXT))
            painter.drawText(self.rect().adjusted(0, 0, -4, -1), Qt.AlignmentFlag.AlignRight, "zoomed")
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(DIM))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _lane_y(self, track: int) -> float:
        return BAND_PX + 3 + self._lanes[track] * LANE_PX

    def track_at(self, x: float, y: float) -> int | None:
        """The track whose bar lies at a place of the widget, give or take two pixels."""
        for track, (first, last) in self.course.lives.items():
            if self._bar(first, last, self._lane_y(track), LANE_PX).adjusted(-2, 0, 2, 0).contains(x, y):
                return track
        return None

    def _go(self, x: float) -> None:
        self.setValue(max(self.minimum(), min(int(self._frame(x)), self.maximum())))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            at = event.position()
            track = self.track_at(at.x(), at.y())
            self._go(at.x())
            if track is not None:
                self.track_picked.emit(track)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event.position().x())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._zoom = None
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._zoom_at(self._frame(event.position().x()), event.angleDelta().y() / 120)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._zoom_at(self.value() + 0.5, 1.0 if event.key() == Qt.Key.Key_Up else -1.0)
        else:
            super().keyPressEvent(event)

    def _zoom_at(self, at: float, steps: float) -> None:
        """So many steps nearer about a frame, which stays where it is."""
        low, high = self._in_view
        all_low, all_high = float(self.minimum()), float(self.maximum() + 1)
        width = min(max((high - low) * 0.8**steps, FEWEST), all_high - all_low)
        low = min(max(at - (at - low) / max(high - low, 1e-9) * width, all_low), all_high - width)
        self._zoom = None if width >= all_high - all_low else (low, low + width)
        self.update()
