"""How the selected track went: brightness, SNR, speed and position against time."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from irtrack.core import Floats
from irtrack.gui.status import Celsius
from irtrack.gui.theme import ACCENT, DIM
from irtrack.session.store import SERIES

CURVES = (
    ("Brightness, counts", (("brightness", "#e4e7ea"),)),
    ("SNR", (("snr", "#ffb000"),)),
    ("Speed, px/s", (("speed_px_s", "#648fff"),)),
    ("Position, px", (("x_px", "#00c896"), ("y_px", "#dc267f"))),
)
WARMTH = "Temperature, °C"
"""In place of the brightness, where the file says how counts become degrees."""

POINTS = 4000
"""Longer tracks are thinned out on the screen."""


class TrackPlots(QWidget):
    """Four small plots with one time axis; a click goes to that time."""

    time_picked = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self.plots: list[pg.PlotWidget] = []
        self.curves: dict[str, pg.PlotDataItem] = {}
        self._title = CURVES[0][0]
        self._marks: list[pg.InfiniteLine] = []
        for i, (title, curves) in enumerate(CURVES):
            plot = pg.PlotWidget()
            plot.setAccessibleName(f"{title} of the selected track against time")
            which = "; x green, y red" if len(curves) > 1 else ""
            plot.setToolTip(f"{title} against time in seconds{which}; a click goes there")
            plot.setTitle(title, color=DIM, size="8pt")
            plot.setMouseEnabled(False, False)
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMinimumSize(80, 96)
            for axis in ("left", "bottom"):
                plot.getAxis(axis).setStyle(tickFont=None, tickTextOffset=2)
                plot.getAxis(axis).setTextPen(DIM)
            for name, colour in curves:
                self.curves[name] = plot.plot([], [], pen=pg.mkPen(colour, width=1))
            mark = pg.InfiniteLine(angle=90, pen=pg.mkPen(ACCENT))
            plot.addItem(mark, ignoreBounds=True)
            self._marks.append(mark)
            if self.plots:
                plot.setXLink(self.plots[0])
            plot.scene().sigMouseClicked.connect(lambda event, p=plot: self._clicked(event, p))
            grid.addWidget(plot, i // 2, i % 2)
            self.plots.append(plot)

    def show_series(self, series: Floats, now_s: float | None, celsius: Celsius | None = None) -> None:
        """series (T, len(SERIES)) of the track, now: the time on screen. `celsius`: degrees of counts."""
        series = series[:: max(1, len(series) // POINTS)].copy()
        title = CURVES[0][0] if celsius is None else WARMTH
        if title != self._title:
            self._title = title
            self.plots[0].setTitle(title, color=DIM, size="8pt")
            self.plots[0].setAccessibleName(f"{title} of the selected track against time")
        if celsius is not None:
            brightness = SERIES.index("brightness")
            series[:, brightness] = celsius(series[:, brightness])
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
