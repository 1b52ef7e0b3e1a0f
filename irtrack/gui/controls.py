"""Controls beside the picture: what is detected, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import DetectorSettings, DisplaySettings
from irtrack.gui.fields import bind, check, choice, level, named, number, shrinking, tip_of, whole_number
from irtrack.gui.legend import Histogram
from irtrack.gui.theme import ACCENT, DIM
from irtrack.session.learning import model_about, model_text
from irtrack.session.recipe import Recipe
from irtrack.session.session import TRAIL_S, Session
from irtrack.session.shown import Shown

REGION_TEXTS = {"include": "Look only here", "exclude": "Leave out", "alarm": "Alarm here"}
FROM_FILE = "From a file ..."


class DetectionControls(QWidget):
    """Threshold, smallest size, model and device, regions: as the session has them, and to choose anew."""

    file_wanted = Signal()
    region_wanted = Signal(str)
    regions_cleared = Signal()

    def __init__(self, session: Session, models: Sequence[str]) -> None:
        super().__init__()
        self._session = session
        self.threshold, self.threshold_label = QSlider(Qt.Orientation.Horizontal), QLabel()
        self.threshold.setRange(1, 99)
        named(self.threshold, "Threshold", tip_of(DetectorSettings, "threshold"))
        self.smallest = whole_number(DetectorSettings, "min_area_px", "Smallest detection", 80)
        self.temporal = check(DetectorSettings, "temporal", "Temporal stage")
        self.closer = check(DetectorSettings, "closer", "Closer look")
        self.model_box = QComboBox()
        self.device_box = choice(DetectorSettings, "device", "Device")
        own = [weights for weights in session.preferences.models if Path(weights).exists()]
        for weights in ("auto", *models, *own):
            self._add_model(self.model_box.count(), weights)
        self.model_box.addItem(FROM_FILE)
        named(self.model_box, "Model", tip_of(DetectorSettings, "weights"))
        shrinking(self.model_box)
        self.region_buttons = {kind: QPushButton(text) for kind, text in REGION_TEXTS.items()}
        tips = {
            "include": "Draw a region: targets count inside such regions only",
            "exclude": "Draw a region: what is detected inside is dropped",
            "alarm": "Draw a region: alarms are given for targets inside only",
        }
        for kind, button in self.region_buttons.items():
            named(button, REGION_TEXTS[kind], tips[kind] + " (clicks set corners, a double click ends)")
            button.clicked.connect(lambda _=False, k=kind: self.region_wanted.emit(k))
        self.clear_button = QPushButton("Clear regions")
        named(self.clear_button, "Clear regions", "Remove all regions of this source")
        self.clear_button.clicked.connect(self.regions_cleared)

        form = QFormLayout(self)
        form.setContentsMargins(4, 6, 4, 4)
        row = QHBoxLayout()
        row.addWidget(self.threshold, 1)
        row.addWidget(self.threshold_label)
        form.addRow("Threshold", row)
        form.addRow("Smallest", self.smallest)
        dim = QHBoxLayout()
        for sought in (self.temporal, self.closer):
            dim.addWidget(sought)
        form.addRow("Dim targets", dim)
        models_row = QHBoxLayout()
        models_row.addWidget(self.model_box, 2)
        models_row.addWidget(self.device_box, 1)
        form.addRow("Model", models_row)
        grid = QGridLayout()
        for i, button in enumerate((*self.region_buttons.values(), self.clear_button)):
            grid.addWidget(button, i // 2, i % 2)
        form.addRow("Regions", grid)
        bind(session.detector, {
            "min_area_px": self.smallest, "temporal": self.temporal, "closer": self.closer, "device": self.device_box,
        })  # fmt: skip
        self.threshold.valueChanged.connect(lambda value: session.choose(threshold=value / 100))
        self.model_box.activated.connect(lambda _: self._model())
        session.recipe.changed.connect(self.show_recipe)
        session.model_known.connect(self._know)
        self.show_recipe(session.recipe.value)

    def _model(self) -> None:
        if self.model_box.currentText() == FROM_FILE:
            self.file_wanted.emit()
        else:
            self._session.choose(weights=self.model_box.currentData())

    def _know(self, weights: str) -> None:
        if self.model_box.findData(weights) < 0:
            self._add_model(self.model_box.count() - 1, weights)

    def _add_model(self, at: int, weights: str) -> None:
        """An entry that says what it is."""
        self.model_box.insertItem(at, model_text(weights), weights)
        if model_text(weights) != weights:
            self.model_box.setItemData(at, model_about(weights), Qt.ItemDataRole.ToolTipRole)

    def show_recipe(self, recipe: Recipe) -> None:
        """What is chosen; a checkpoint of one's own becomes an entry."""
        settings = recipe.detector
        self._know(settings.weights)
        with QSignalBlocker(self.model_box), QSignalBlocker(self.threshold):
            self.model_box.setCurrentIndex(self.model_box.findData(settings.weights))
            self.threshold.setValue(round(settings.threshold * 100))
        about = self.model_box.currentData(Qt.ItemDataRole.ToolTipRole)
        self.model_box.setToolTip(about or tip_of(DetectorSettings, "weights"))
        self.threshold_label.setText(f"{self.threshold.value() / 100:.2f}")


class DisplayControls(QWidget):
    """Overlays, palette, gain: as the session has them, and to choose anew."""

    lock_changed = Signal(bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.masks = check(Shown, "masks", "Masks")
        self.trails = check(Shown, "trails", "Trails")
        self.boxes = check(Shown, "boxes", "Boxes")
        self.labels = check(Shown, "labels", "Numbers")
        self.ellipses = check(Shown, "ellipses", "Ellipses")
        self.legend = check(Shown, "legend", "Legend")
        self.opacity = level(Shown, "opacity", "Opacity of masks")
        self.mask_style = choice(Shown, "mask_style", "Style of masks")
        self.colouring = choice(Shown, "colouring", "Colour of trails")
        self.trail_s = number(Shown, "trail_s", "Length of trails", TRAIL_S)
        self.trail_s.setSingleStep(0.5)
        self.scores = QCheckBox("Score map")
        named(self.scores, "Score map", "Show what the detector saw: its score for each pixel, 0 to 1")
        self.palette_box = choice(DisplaySettings, "palette", "Palette")
        self.agc_box = choice(DisplaySettings, "agc", "Gain control")
        for i in range(self.agc_box.count()):
            self.agc_box.setItemText(i, self.agc_box.itemText(i).capitalize())
        self.lock = QCheckBox("Lock")
        named(self.lock, "Lock gain", "Keep the gain as it is now")
        self.histogram = Histogram()
        self._lay_out()
        bind(session.display, {"palette": self.palette_box, "agc": self.agc_box})
        bind(session.shown, {
            "masks": self.masks, "trails": self.trails, "boxes": self.boxes, "labels": self.labels,
            "ellipses": self.ellipses, "legend": self.legend, "opacity": self.opacity, "mask_style": self.mask_style,
            "colouring": self.colouring, "trail_s": self.trail_s,
        })  # fmt: skip
        session.shown.changed.connect(self._enable)
        self._enable(session.shown.value)
        self.histogram.dragged.connect(self._by_hand)
        self.lock.toggled.connect(self.lock_changed)
        self.scores.toggled.connect(session.scores.set)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.setSpacing(3)
        boxes, rows = QGridLayout(), QGridLayout()
        for grid in (boxes, rows):
            grid.setVerticalSpacing(3)
        for i, box in enumerate((self.masks, self.trails, self.boxes, self.labels, self.ellipses, self.legend)):
            boxes.addWidget(box, i // 3, i % 3)
        layout.addLayout(boxes)
        lines: tuple[tuple[str, QWidget, QWidget], ...] = (
            ("Masks", self.mask_style, self.opacity),
            ("Trails", self.colouring, self.trail_s),
            ("Palette", self.palette_box, self.scores),
            ("Gain", self.agc_box, self.lock),
        )
        for i, (text, first, second) in enumerate(lines):
            rows.addWidget(QLabel(text), i, 0)
            rows.addWidget(first, i, 1)
            rows.addWidget(second, i, 2)
        rows.setColumnStretch(1, 1)
        rows.setColumnStretch(2, 1)
        layout.addLayout(rows)
        layout.addWidget(self.histogram)
        layout.addStretch(1)

    def _enable(self, shown: Shown) -> None:
        """What acts on what is drawn."""
        self.opacity.setEnabled(shown.mask_style == "fill")

    def _by_hand(self, low: float, high: float) -> None:
        """The lines of the histogram were dragged: gain by hand between them."""
        self._session.display.change(agc="linear", level=(low + high) / 2, span=max(high - low, 1.0))


def small_button(text: str, tip: str, checkable: bool = False) -> QToolButton:
    """A flat button with a word."""
    made = QToolButton()
    made.setText(text)
    named(made, tip.split(" (")[0], tip)
    made.setCheckable(checkable)
    made.setStyleSheet(f"QToolButton {{ color: {DIM}; }} QToolButton:checked {{ color: {ACCENT}; }}")
    return made
