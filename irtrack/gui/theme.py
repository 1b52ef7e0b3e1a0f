"""Colours, the dark palette and drawn icons of the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QIcon,
    QPainter,
    QPainterPath,
    QPalette,
    QPen,
    QPixmap,
    QPolygonF,
    QRadialGradient,
)
from PySide6.QtWidgets import QApplication

BACKGROUND, PANEL, TEXT, DIM, ACCENT, ERROR = "#15181c", "#1f2429", "#e4e7ea", "#8d969e", "#ffb000", "#e5484d"

STYLE = f"""
QToolTip {{ background: {PANEL}; color: {TEXT}; border: 1px solid {DIM}; }}
QFrame#banner {{ background: {ERROR}; }}
QFrame#banner QLabel, QFrame#banner QToolButton {{ color: white; font-weight: 600; }}
QFrame#banner QToolButton:hover {{ background: #b5383c; }}
QLabel#record {{ background: {ERROR}; color: white; padding: 2px 8px; border-radius: 4px; font-weight: 600; }}
QLabel#stale {{ background: {ACCENT}; color: black; padding: 2px 8px; border-radius: 4px; font-weight: 600; }}
QLabel#preview {{ background: {BACKGROUND}; border: 1px solid #30373d; }}
QLabel#hint {{ color: {DIM}; font-size: 15px; }}
QFrame#drop {{ border: 2px dashed #3a434b; border-radius: 10px; }}
QLabel#heading {{ color: {ACCENT}; font-weight: 600; padding-top: 8px; }}
QLabel#key {{ font-family: monospace; color: {DIM}; }}
QLabel#time {{ font-family: monospace; }}
QGroupBox {{ border: 1px solid #30373d; border-radius: 4px; margin-top: 9px; padding-top: 6px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 8px; color: {DIM}; }}
QTableView {{ gridline-color: #2a3036; selection-background-color: #37424c; selection-color: {TEXT}; }}
QHeaderView::section {{ background: {PANEL}; color: {DIM}; border: 0; padding: 3px 2px; }}
QPushButton:checked {{ color: {ACCENT}; }}
QToolButton {{ padding: 4px; border: 0; border-radius: 4px; }}
QToolButton:hover {{ background: #2d343a; }}
QToolButton#card {{ padding: 10px 6px; border: 1px solid #30373d; border-radius: 8px; background: {PANEL}; }}
QToolButton#card:hover {{ border-color: {ACCENT}; }}
QToolButton:focus {{ border: 1px solid {ACCENT}; }}
QStatusBar {{ color: {DIM}; }}
"""


def apply_theme(app: QApplication) -> None:
    """A dark theme, in which the picture is the brightest thing on the screen, and the icon."""
    app.setStyle("Fusion")
    palette = QPalette()
    role = QPalette.ColorRole
    for which, colour in (
        (role.Window, PANEL), (role.WindowText, TEXT), (role.Base, BACKGROUND), (role.AlternateBase, PANEL),
        (role.Text, TEXT), (role.Button, PANEL), (role.ButtonText, TEXT), (role.ToolTipBase, PANEL),
        (role.ToolTipText, TEXT), (role.Highlight, ACCENT), (role.HighlightedText, "#000000"),
        (role.PlaceholderText, DIM), (role.Mid, "#30373d"), (role.Dark, "#0e1013"), (role.Light, "#30373d"),
    ):  # fmt: skip
        palette.setColor(which, QColor(colour))
    for which in (role.Text, role.ButtonText, role.WindowText, role.Highlight):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor("#5a636b"))
    app.setPalette(palette)
    app.setWindowIcon(app_icon())
    app.setStyleSheet(STYLE)


def drawn(paint: Callable[[QPainter], object]) -> QIcon:
    """An icon painted on a 32x32 canvas."""
    pixmap = QPixmap(32, 32)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(TEXT))
    paint(painter)
    painter.end()
    return QIcon(pixmap)


ICON_SIDES = (16, 32, 64, 128, 256)


def app_icon() -> QIcon:
    """A bright point with its trail, in the corners of a frame."""
    icon = QIcon()
    for side in ICON_SIDES:
        icon.addPixmap(app_picture(side))
    return icon


def app_picture(side: int) -> QPixmap:
    """The icon at a size, drawn on a square of 64."""
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(side / 64, side / 64)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(BACKGROUND))
    painter.drawRoundedRect(QRectF(1, 1, 62, 62), 14, 14)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    trail = QPainterPath(QPointF(9, 54))
    trail.cubicTo(QPointF(15, 44), QPointF(22, 38), QPointF(36, 27))
    painter.setPen(QPen(QColor("#648fff"), 4.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawPath(trail)
    painter.setPen(QPen(QColor(ACCENT), 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    middle = QPointF(38, 26)
    for right, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = middle + QPointF(17 * right, 17 * down)
        painter.drawPolyline([corner - QPointF(0, 8 * down), corner, corner - QPointF(8 * right, 0)])
    glow = QRadialGradient(middle, 9)
    for at, colour in ((0.0, "#ffffff"), (0.45, "#fff3d6"), (1.0, "#00ffb000")):
        glow.setColorAt(at, QColor(colour))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(glow)
    painter.drawEllipse(middle, 9, 9)
    painter.end()
    return pixmap


def triangle(painter: QPainter, left: float, right: float) -> object:
    """A triangle whose base is at x = left and whose tip is at x = right."""
    painter.drawPolygon(QPolygonF([QPointF(left, 6), QPointF(right, 16), QPointF(left, 26)]))
    return painter


def bar(painter: QPainter, x: float, width: float = 4) -> object:
    """An upright bar."""
    painter.drawRect(QRectF(x, 6, width, 20))
    return painter


def play_icon() -> QIcon:
    return drawn(lambda p: triangle(p, 9, 26))


def pause_icon() -> QIcon:
    return drawn(lambda p: (bar(p, 8, 6), bar(p, 18, 6)))


def step_icon(forward: bool) -> QIcon:
    if forward:
        return drawn(lambda p: (triangle(p, 7, 21), bar(p, 22)))
    return drawn(lambda p: (triangle(p, 25, 11), bar(p, 6)))


def open_icon() -> QIcon:
    def paint(painter: QPainter) -> None:
        painter.drawRect(QRectF(5, 8, 10, 4))
        painter.drawRect(QRectF(5, 11, 22, 14))

    return drawn(paint)


def pictures_icon() -> QIcon:
    """Pictures one behind the other."""

    def paint(painter: QPainter) -> None:
        for shade, at in (("#5a636b", 0), (DIM, 4), (TEXT, 8)):
            painter.setBrush(QColor(shade))
            painter.drawRect(QRectF(3 + at, 5 + at, 17, 12))

    return drawn(paint)


def camera_icon() -> QIcon:
    """A body with its lens."""

    def paint(painter: QPainter) -> None:
        painter.drawRoundedRect(QRectF(3, 9, 18, 15), 3, 3)
        painter.drawPolygon(QPolygonF([QPointF(22, 15), QPointF(29, 10), QPointF(29, 23), QPointF(22, 18)]))
        painter.setBrush(QColor(BACKGROUND))
        painter.drawEllipse(QPointF(12, 16.5), 4, 4)

    return drawn(paint)
