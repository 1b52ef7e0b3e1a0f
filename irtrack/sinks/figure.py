"""Figures as files, drawn by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

from irtrack.core import IrtrackError, SinkError
from irtrack.sinks.target import write_output

FORMATS = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".eps")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")


def check_figure(path: Path | None) -> None:
    """Before what is drawn is worked out. Raises IrtrackError where it could not be drawn into such a file."""
    if path is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        raise IrtrackError("a plot needs matplotlib: pip install 'irtrack[train]'")
    check_picture(path, FORMATS)


def check_picture(path: Path | None, formats: tuple[str, ...] = PICTURES) -> None:
    """Raises SinkError where a file's name says another format than these."""
    if path is not None and path.suffix.lower() not in formats:
        raise SinkError(f"{path}: a picture is written as {', '.join(formats[:-1])} or {formats[-1]}")


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches, of no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write it, whole or not at all. Raises SinkError."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format=path.suffix[1:].lower())
    write_output(path, drawn.getvalue())
