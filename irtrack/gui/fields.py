"""Fields of the window made from the settings: range, unit, values and tip stand in `option(...)` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Protocol

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from irtrack.config import Checked, allowed
from irtrack.session.events import Event


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
        self.updateGeometry()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 1, super().sizeHint().height())

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
    for value in allowed(about(kind, name)):
        made.addItem(value, value)
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


def level(kind: type[Checked], name: str, text: str) -> QSlider:
    """A setting that is a whole number, as a slider."""
    told, made = about(kind, name), QSlider(Qt.Orientation.Horizontal)
    made.setRange(int(told["low"]), int(told["high"]))
    named(made, text, tip_of(kind, name))
    return made


class Chosen(Protocol):
    """Settings that are chosen: what they are, how to change some of them by name, and when they have changed."""

    @property
    def value(self) -> Any: ...

    def change(self, **values: object) -> None: ...

    @property
    def changed(self) -> Event[[Any]]: ...


def bind(chosen: Chosen, widgets: Mapping[str, QWidget]) -> None:
    """Have widgets show what is chosen, each by the name of its setting, and choose it."""

    def show() -> None:
        for name, widget in widgets.items():
            with QSignalBlocker(widget):
                show_value(widget, getattr(chosen.value, name))

    for name, widget in widgets.items():
        changed_of(widget).connect(lambda _, n=name, w=widget: chosen.change(**{n: value_of(w)}))
    chosen.changed.connect(lambda _: show())
    show()


def value_of(widget: QWidget) -> object:
    """What a field says."""
    if isinstance(widget, QAbstractButton):
        return widget.isChecked()
    return widget.currentData() if isinstance(widget, QComboBox) else widget.value()  # type: ignore[attr-defined]


def show_value(widget: QWidget, value: Any) -> None:
    """Have a field say it."""
    if isinstance(widget, QAbstractButton):
        widget.setChecked(value)
    elif isinstance(widget, QComboBox):
        widget.setCurrentIndex(widget.findData(value))
    else:
        widget.setValue(value)  # type: ignore[attr-defined]


def changed_of(widget: QWidget) -> Any:
    """The signal that tells of another value."""
    if isinstance(widget, QAbstractButton):
        return widget.toggled
    return widget.currentIndexChanged if isinstance(widget, QComboBox) else widget.valueChanged  # type: ignore[attr-defined]


def shrinking(box: QComboBox) -> None:
    """A choice that does not claim the width of its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
