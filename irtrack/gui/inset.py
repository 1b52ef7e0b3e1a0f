"""The selected target, magnified, in a corner of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QLabel, QWidget

from irtrack.core import FrameResult
from irtrack.imaging.palettes import TABLES

SIDE_PX, ZOOM, SHARE, MARGIN_PX = 33, 6, 0.35, 10
"""Pixels of the frame that are shown, the size of each on the screen, what all of it takes of a small picture, and how
far from its borders it lies."""


def patch_round(grey: NDArray[np.uint8], x: float, y: float) -> NDArray[np.uint8]:
    """(SIDE_PX, SIDE_PX) grey levels round a place; black beyond the frame."""
    half = SIDE_PX // 2
    out = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    left, top = round(x) - half, round(y) - half
    rows = slice(max(top, 0), max(min(top + SIDE_PX, grey.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + SIDE_PX, grey.shape[1]), 0))
    part = grey[rows, columns]
    out[rows.start - top : rows.start - top + part.shape[0], columns.start - left :][:, : part.shape[1]] = part
    return out


class Inset(QLabel):
    """At the bottom right of the picture, or left where it would hide targets; hidden while nothing is selected."""

    def __init__(self, picture: QWidget) -> None:
        super().__init__(picture)
        self._picture, self._left = picture, False
        self.setObjectName("preview")
        self.setAccessibleName("Selected target, magnified")
        self.setToolTip("The selected target, magnified")
        self.hide()

    def show_target(self, result: FrameResult | None, track_id: int | None, grey: NDArray[np.uint8], name: str) -> None:
        """`grey`: the frame as shown, `name`: its palette."""
        track = next((t for t in result.tracks if t.id == track_id), None) if result is not None else None
        self.setVisible(track is not None)
        if track is None:
            return
        colours = TABLES[name][patch_round(grey, float(track.xy_px[0]), float(track.xy_px[1]))]
        data = np.ascontiguousarray(colours)
        image = QImage(data.tobytes(), SIDE_PX, SIDE_PX, 3 * SIDE_PX, QImage.Format.Format_RGB888)
        room = SHARE * min(self._picture.width(), self._picture.height())
        size = SIDE_PX * min(max(int(room / SIDE_PX), 2), ZOOM)
        self.setFixedSize(size + 2, size + 2)
        self.setPixmap(QPixmap.fromImage(image).scaled(size, size, Qt.AspectRatioMode.KeepAspectRatio))

    def _corner(self, left: bool) -> QRect:
        """Where it lies at this side of the picture."""
        x = MARGIN_PX if left else self._picture.width() - self.width() - MARGIN_PX
        return QRect(QPoint(x, self._picture.height() - self.height() - MARGIN_PX), self.size())

    def stay_clear(self, selected: QPoint | None, others: Sequence[QPoint]) -> None:
        """In the corner where it was, unless it would hide the selected target there, or others and none in the other
        corner. Places on the picture."""
        here, there = self._corner(self._left), self._corner(not self._left)
        hidden, freed = ([*map(corner.contains, others)] for corner in (here, there))
        chosen = selected is not None and here.contains(selected)
        self._left ^= chosen or (any(hidden) and not any(freed))
        self.move(self._corner(self._left).topLeft())
