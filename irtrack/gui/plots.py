"""How the selected track went: brightness or temperature, SNR, speed, position; all plots, or one large."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QWidget

from irtrack.core import Floats
from irtrack.gui.controls import small_button
from irtrack.gui.fields import named
from irtrack.gui.theme import ACCENT, DIM
from irtrack.session.series import SERIES

BRIGHTNESS, TEMPERATURE = "Brightness, counts", "Temperature, °C"
"""The second in place of the first where pictures say how counts become degrees."""

CURVES = (
    (BRIGHTNESS, (("brightness", "#e4e7ea"),)),
    ("SNR", (("snr", "#ffb000"),)),
    ("Speed, px/s", (("speed_px_s", "#648fff"),)),
    ("Position, px", (("x_px", "#00c896"), ("y_px", "#dc267f"))),
)
ALL = "All plots"

TICK_PT, NUMBER_PX, TITLE_PX = 7.5, 11.0, 16
"""Size of the numbers at the axes, the height that one takes, and that of a title."""

LOW_PX = 90
"""Plots that are lower have no numbers below: those of the time are the same in all."""

POINTS = 4000
"""Longer tracks are thinned out on the screen."""


class SideAxis(pg.AxisItem):  # type: ignore[misc]
    """As many round numbers as stay apart, and two wherever there is room for them: one alone gives no scale."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        finest = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)) - 1)
        chosen, enough = finest * 100, False
        for step in (finest * factor for factor in (50, 20, 10, 5, 2, 1)):
            count = math.floor(high / step) - math.ceil(low / step) + 1
            if count * NUMBER_PX > size or (count > 2 and count * 2 * NUMBER_PX > size and enough):
                break
            chosen, enough = step, count >= 2
        return [(chosen, 0.0)]


class TrackPlots(QWidget):
    """Four plots with one time axis, or one of them alone; a click goes to that time. `export_wanted`: as a file."""

    time_picked = Signal(float)
    export_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.which = QComboBox()
        self.which.addItems([ALL, *(title for title, _ in CURVES)])
        named(self.which, "Plots", "All plots, or one of them large")
        self.export = small_button("CSV ...", "Save what is plotted, of all frames of the track, as CSV")
        self.export.clicked.connect(self.export_wanted)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        for column in (0, 1):
            self._grid.setColumnStretch(column, 1)
        row = QHBoxLayout()
        row.addWidget(self.which, 1)
        row.addWidget(self.export)
        self._grid.addLayout(row, 0, 0, 1, 2)
        self.plots: list[pg.PlotWidget] = []
        self.curves: dict[str, pg.PlotDataItem] = {}
        self._marks: list[pg.InfiniteLine] = []
        for title, curves in CURVES:
            self._add(title, curves)
        self._place()
        self.which.currentIndexChanged.connect(lambda _: self._place())

    def _add(self, title: str, curves: tuple[tuple[str, str], ...]) -> None:
        plot = pg.PlotWidget(axisItems={"left": SideAxis("left")})
        which = "; x green, y red" if len(curves) > 1 else ""
        plot.setToolTip(f"{title} against time in seconds{which}; a click goes there")
        self._name(plot, title)
        plot.setMouseEnabled(False, False)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMinimumSize(80, 40)
        small = plot.font()
        small.setPointSizeF(TICK_PT)
        for axis in ("left", "bottom"):
            plot.getAxis(axis).setStyle(tickFont=small, tickTextOffset=2)
            plot.getAxis(axis).setTextPen(DIM)
        for name, colour in curves:
            self.curves[name] = plot.plot([], [], pen=pg.mkPen(colour, width=1))
        mark = pg.InfiniteLine(angle=90, pen=pg.mkPen(ACCENT))
        plot.addItem(mark, ignoreBounds=True)
        self._marks.append(mark)
        plot.scene().sigMouseClicked.connect(lambda event: self._clicked(event, plot))
        self.plots.append(plot)

    def _name(self, plot: pg.PlotWidget, title: str) -> None:
        plot.setTitle(title, color=DIM, size="8pt")
        plot.getPlotItem().titleLabel.setMaximumHeight(TITLE_PX)
        plot.getPlotItem().layout.setRowFixedHeight(0, TITLE_PX)
        plot.setAccessibleName(f"{title} of the selected track against time")

    def _place(self) -> None:
        """All of them in two rows, or the chosen one in their place."""
        chosen = self.which.currentIndex() - 1
        for i, plot in enumerate(self.plots):
            self._grid.removeWidget(plot)
            plot.setVisible(chosen in (-1, i))
            plot.getAxis("bottom").setLabel("time, s" if chosen == i else None)
            plot.setXLink(self.plots[0] if i and chosen == -1 else None)
            plot.enableAutoRange(x=chosen in (0, i) or (i == 0 and chosen == -1))
            if chosen == -1:
                self._grid.addWidget(plot, 1 + i // 2, i % 2)
            elif chosen == i:
                self._grid.addWidget(plot, 1, 0, 2, 2)
        self._number()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._number()

    def _number(self) -> None:
        """Numbers below the plots, where they leave enough to the curves."""
        room = self.height() - self.which.sizeHint().height()
        rows = 2 if self.which.currentIndex() == 0 else 1
        for plot in self.plots:
            plot.showAxis("bottom", room / rows >= LOW_PX)

    def show_series(self, series: Floats, now_s: float | None) -> None:
        """series (T, len(SERIES)) of the track, now: the time on screen."""
        self.export.setEnabled(len(series) > 0)
        for plot in self.plots:
            for axis in ("left", "bottom"):
                plot.getAxis(axis).setStyle(showValues=len(series) > 0)
        series = series[:: max(1, len(series) // POINTS)].copy()
        warm = series[:, SERIES.index("celsius")]
        title = BRIGHTNESS if np.isnan(warm).all() else TEMPERATURE
        if title != self.which.itemText(1):
            self.which.setItemText(1, title)
            self._name(self.plots[0], title)
        if title == TEMPERATURE:
            series[:, SERIES.index("brightness")] = warm
        for name, curve in self.curves.items():
            curve.setData(series[:, 0], series[:, SERIES.index(name)], connect="finite")
        for mark in self._marks:
            mark.setVisible(now_s is not None and len(series) > 0)
            if now_s is not None:
                mark.setValue(now_s)

    def _clicked(self, event: object, plot: pg.PlotWidget) -> None:
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            at = plot.getPlotItem().vb.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
            self.time_picked.emit(float(at.x()))
