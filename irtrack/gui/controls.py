"""Detection and display controls beside the picture."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import DetectorSettings
from irtrack.gui.canvas import PALETTES


class Controls(QWidget):
    """Threshold, overlays, opacity, palette, contrast."""

    threshold_changed = Signal(float)
    overlays_changed = Signal()
    palette_changed = Signal(str)

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.threshold = self._slider(1, 99, round(settings.threshold * 100), "Score above which a pixel is a target")
        self.threshold_label = QLabel()
        self.masks = self._check("Masks", "Pixels that the detector marks")
        self.trails = self._check("Trails", "Where each track has been")
        self.boxes = self._check("Boxes", "Frame round each track; open corners while it coasts unseen")
        self.labels = self._check("Numbers", "Identity of each track")
        self.contrast = self._check("Auto contrast", "Stretch 8-bit pictures to their own range", checked=False)
        self.opacity = self._slider(5, 100, 55, "Opacity of the masks")
        self.palette_box = QComboBox()
        self.palette_box.addItems(PALETTES)
        self.palette_box.setToolTip("Colours of the picture")
        self.palette_box.setAccessibleName("Palette")

        detection = QGroupBox("Detection")
        form = QFormLayout(detection)
        form.addRow("Threshold", self.threshold)
        form.addRow("", self.threshold_label)
        display = QGroupBox("Display")
        grid = QGridLayout(display)
        for i, box in enumerate((self.masks, self.trails, self.boxes, self.labels, self.contrast)):
            grid.addWidget(box, i // 2, i % 2)
        grid.addWidget(QLabel("Mask opacity"), 3, 0)
        grid.addWidget(self.opacity, 3, 1)
        grid.addWidget(QLabel("Palette"), 4, 0)
        grid.addWidget(self.palette_box, 4, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(detection)
        layout.addWidget(display)

        self.threshold.valueChanged.connect(self._threshold)
        self.opacity.valueChanged.connect(lambda _: self.overlays_changed.emit())
        self.palette_box.currentTextChanged.connect(self.palette_changed)
        self._name_threshold()

    def _slider(self, low: int, high: int, value: int, tip: str) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(low, high)
        slider.setValue(value)
        slider.setToolTip(tip)
        slider.setAccessibleName(tip)
        return slider

    def _check(self, text: str, tip: str, checked: bool = True) -> QCheckBox:
        box = QCheckBox(text)
        box.setChecked(checked)
        box.setToolTip(tip)
        box.toggled.connect(lambda _: self.overlays_changed.emit())
        return box

    def _threshold(self, value: int) -> None:
        self._name_threshold()
        self.threshold_changed.emit(value / 100)

    def _name_threshold(self) -> None:
        self.threshold_label.setText(f"score above {self.threshold.value() / 100:.2f}")
