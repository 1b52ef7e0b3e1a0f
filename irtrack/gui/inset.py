"""The selected target, magnified, in a corner of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QLabel, QWidget

from irtrack.core import FrameResult
from irtrack.imaging.palettes import TABLES

SIDE_PX, ZOOM, SHARE = 33, 6, 0.35
"""Pixels of the frame that are shown, the size of each on the screen, and what all of it takes of a small picture."""


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
    """Bottom right of the picture; hidden while nothing is selected."""

    def __init__(self, picture: QWidget) -> None:
        super().__init__(picture)
        self._picture = picture
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
        self.stay_in_corner()

    def stay_in_corner(self) -> None:
        """After a change of the picture's size."""
        self.move(self._picture.width() - self.width() - 10, self._picture.height() - self.height() - 10)
