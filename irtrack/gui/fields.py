"""Fields of the window made from the settings: range, unit, values and tip stand in `option(...)` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QSizePolicy, QSpinBox, QWidget

from irtrack.config import Checked, allowed


class Elided(QLabel):
    """A line that gets shorter with its place, instead of making the window wider; resting on it says all of it."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str, more: str = "") -> None:
        """The line, and what is said beside it to who rests on it."""
        self._whole = text
        self.setToolTip("\n".join(filter(None, (text, more))))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width()))


def about(kind: type[Checked], name: str) -> Mapping[str, Any]:
    """What `option(...)` says of a setting, and its `default`."""
    found = next(f for f in fields(kind) if f.name == name)  # type: ignore[arg-type]
    return {**found.metadata, "default": None if found.default is MISSING else found.default}


def tip_of(kind: type[Checked], name: str) -> str:
    """Its documentation as a sentence."""
    text = str(about(kind, name)["doc"])
    return text[:1].upper() + text[1:]


def named(widget: QWidget, name: str, tip: str) -> None:
    """What a screen reader and a resting cursor say."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip)


def check(kind: type[Checked], name: str, text: str) -> QCheckBox:
    """A setting that is on or off."""
    made = QCheckBox(text)
    named(made, text, tip_of(kind, name))
    return made


def choice(kind: type[Checked], name: str, text: str) -> QComboBox:
    """A setting that has one of some values."""
    made = QComboBox()
    made.addItems(list(allowed(about(kind, name))))
    shrinking(made)
    named(made, text, tip_of(kind, name))
    return made


def whole_number(kind: type[Checked], name: str, text: str, most: int) -> QSpinBox:
    """A setting that is a whole number, up to `most` at most."""
    told, made = about(kind, name), QSpinBox()
    made.setRange(int(told["low"] or 0), min(most, int(told["high"] or most)))
    made.setSuffix(f" {told['unit']}" if told["unit"] else "")
    named(made, text, tip_of(kind, name))
    return made


def number(kind: type[Checked], name: str, text: str, most: float, off: bool = False) -> QDoubleSpinBox:
    """A setting that is a number, up to `most` at most, to a tenth. `off`: 0 turns it off."""
    told, made = about(kind, name), QDoubleSpinBox()
    made.setDecimals(1)
    made.setRange(told["low"] or 0.0, min(most, told["high"] or most))
    made.setSuffix(f" {told['unit']}" if told["unit"] else "")
    if off:
        made.setSpecialValueText("off")
    named(made, text, tip_of(kind, name))
    return made


def shrinking(box: QComboBox) -> None:
    """A choice that does not claim the width of its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
