"""Detection and display controls beside the picture."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import AGC_MODES, PALETTES, DetectorSettings, DisplaySettings


class Controls(QWidget):
    """Threshold, overlays, opacity, palette, gain."""

    threshold_changed = Signal(float)
    smallest_changed = Signal(int)
    overlays_changed = Signal()
    display_changed = Signal(DisplaySettings)
    lock_changed = Signal(bool)

    def __init__(self, settings: DetectorSettings, display: DisplaySettings) -> None:
        super().__init__()
        self.threshold = self._slider(1, 99, round(settings.threshold * 100), "Score above which a pixel is a target")
        self.threshold_label = QLabel()
        self.smallest = QSpinBox()
        self.smallest.setRange(1, 80)
        self.smallest.setValue(settings.min_area_px)
        self.smallest.setSuffix(" px")
        self.smallest.setToolTip("Detections of fewer pixels are dropped")
        self.smallest.setAccessibleName("Smallest detection")
        self.masks = self._check("Masks", "Pixels that the detector marks")
        self.trails = self._check("Trails", "Where each track has been")
        self.boxes = self._check("Boxes", "Frame round each track; open corners while it coasts unseen")
        self.labels = self._check("Numbers", "Identity of each track")
        self.opacity = self._slider(5, 100, 55, "Opacity of the masks")
        self.palette_box = QComboBox()
        self.palette_box.addItems(PALETTES)
        self.palette_box.setCurrentText(display.palette)
        self.palette_box.setToolTip("Colours of the picture")
        self.palette_box.setAccessibleName("Palette")
        self.display = display
        self.agc_box = QComboBox()
        self.agc_box.addItems([m.capitalize() for m in AGC_MODES])
        self.agc_box.setCurrentText(display.agc.capitalize())
        self.agc_box.setToolTip(
            "Gain of the picture on the screen; detection never sees it. Auto: 8-bit pictures as they are"
        )
        self.agc_box.setAccessibleName("Gain control")
        self.lock = QCheckBox("Lock")
        self.lock.setToolTip("Keep the gain as it is now")
        self.lock.setAccessibleName("Lock gain")

        detection = QGroupBox("Detection")
        form = QFormLayout(detection)
        form.addRow("Threshold", self.threshold)
        form.addRow("", self.threshold_label)
        form.addRow("Smallest", self.smallest)
        shown = QGroupBox("Display")
        grid = QGridLayout(shown)
        for i, box in enumerate((self.masks, self.trails, self.boxes, self.labels)):
            grid.addWidget(box, i // 2, i % 2)
        grid.addWidget(QLabel("Mask opacity"), 3, 0)
        grid.addWidget(self.opacity, 3, 1)
        grid.addWidget(QLabel("Palette"), 4, 0)
        grid.addWidget(self.palette_box, 4, 1)
        grid.addWidget(QLabel("Gain"), 5, 0)
        grid.addWidget(self.agc_box, 5, 1)
        grid.addWidget(self.lock, 6, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(detection)
        layout.addWidget(shown)

        self.threshold.valueChanged.connect(self._threshold)
        self.smallest.valueChanged.connect(self.smallest_changed)
        self.opacity.valueChanged.connect(lambda _: self.overlays_changed.emit())
        self.palette_box.currentTextChanged.connect(self._show_display)
        self.agc_box.currentTextChanged.connect(self._show_display)
        self.lock.toggled.connect(self.lock_changed)
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

    def _show_display(self) -> None:
        self.display = replace(
            self.display, palette=self.palette_box.currentText(), agc=self.agc_box.currentText().lower()
        )
        self.display_changed.emit(self.display)

    def show_display(self, display: DisplaySettings) -> None:
        """Take over palette and gain control."""
        self.display = display
        self.palette_box.setCurrentText(display.palette)
        self.agc_box.setCurrentText(display.agc.capitalize())
        self.display_changed.emit(self.display)

    def _threshold(self, value: int) -> None:
        self._name_threshold()
        self.threshold_changed.emit(value / 100)

    def _name_threshold(self) -> None:
        self.threshold_label.setText(f"score above {self.threshold.value() / 100:.2f}")
