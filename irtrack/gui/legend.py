"""Which colour stands for which count: a legend beside the picture, and a histogram with the levels of the gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from irtrack.core import Image
from irtrack.gui.theme import ACCENT, BACKGROUND, DIM, TEXT
from irtrack.imaging.palettes import TABLES

BINS = 128
HEIGHT_PX, LEGEND_PX = 48, 220
"""Of the histogram, and of the legend where there is room."""


def text_of(value: float) -> str:
    """A count as the legend shows it."""
    return f"{value:.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.2f}"


class Legend(QWidget):
    """A bar of the palette with the counts at its ends and between; at the right side of the picture."""

    def __init__(self, picture: QWidget) -> None:
        super().__init__(picture)
        self._picture = picture
        self.setAccessibleName("Legend")
        self.setToolTip("Counts and their colours")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._palette, self.low, self.high = "White hot", 0.0, 255.0
        self.resize(64, LEGEND_PX)
        self.hide()

    def show_levels(self, palette: str, low: float, high: float) -> None:
        """The counts that are black and white in the palette."""
        if (palette, low, high) != (self._palette, self.low, self.high):
            self._palette, self.low, self.high = palette, low, high
            self.update()

    def stay_at_side(self) -> None:
        """After a change of the picture's size."""
        self.resize(self.width(), max(60, min(LEGEND_PX, self._picture.height() - 20)))
        self.move(self._picture.width() - self.width() - 8, 10)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(21, 24, 28, 190))
        bar = QRectF(self.width() - 18, 10, 12, self.height() - 20)
        column = np.ascontiguousarray(TABLES[self._palette][::-1])
        image = QImage(column.tobytes(), 1, len(column), 3, QImage.Format.Format_RGB888)
        painter.drawImage(bar, image)
        painter.setPen(QColor(TEXT))
        for i in range(5):
            y = bar.bottom() - i / 4 * bar.height()
            value = self.low + i / 4 * (self.high - self.low)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - 8, bar.left() - 5, 16), right, text_of(value))


class Histogram(QWidget):
    """Counts of the picture (square root of how many), and the levels of the gain as two lines that can be dragged."""

    dragged = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Histogram of counts")
        self.setToolTip("Counts of the picture; drag the lines to set black and white by hand (gain Linear)")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumHeight(HEIGHT_PX // 2)
        self.low, self.high = 0.0, 255.0
        self._bars: NDArray[np.float64] = np.zeros(0)
        self._from, self._to = 0.0, 255.0
        self._held = ""

    def sizeHint(self) -> QSize:
        return QSize(160, HEIGHT_PX)

    def show_counts(self, image: Image, levels: tuple[float, float]) -> None:
        """A picture's counts, of every fourth pixel each way where it is large."""
        step = 4 if min(image.shape) >= 128 else 1
        part = image[::step, ::step]
        if not self._held:
            self.low, self.high = levels
            low, high = float(part.min()), float(part.max())
            margin = max(4.0, 0.05 * (high - low))
            self._from, self._to = min(low, self.low) - margin, max(high, self.high) + margin
        counts = np.histogram(part, BINS, (self._from, self._to))[0]
        self._bars = np.sqrt(counts / max(counts.max(), 1))
        self.update()

    def _x(self, value: float) -> float:
        return (value - self._from) / (self._to - self._from) * self.width()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(BACKGROUND))
        width = self.width() / BINS
        for i, share in enumerate(self._bars.tolist()):
            height = share * (self.height() - 4)
            painter.fillRect(QRectF(i * width, self.height() - height, width, height), QColor(DIM))
        painter.setPen(QColor(ACCENT))
        for value in (self.low, self.high):
            x = self._x(value)
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        self._held = "low" if abs(x - self._x(self.low)) <= abs(x - self._x(self.high)) else "high"
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._held or not len(self._bars):
            return
        value = self._from + event.position().x() / max(self.width(), 1) * (self._to - self._from)
        least = max((self._to - self._from) / self.width(), 1.0)
        if self._held == "low":
            self.low = min(value, self.high - least)
        else:
            self.high = max(value, self.low + least)
        self.update()
        self.dragged.emit(self.low, self.high)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = ""
