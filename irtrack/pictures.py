"""What a picture is: rows and columns of grey counts."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from irtrack.errors import IrtrackError

T = TypeVar("T", bound=np.generic)

Image = NDArray[Any]
"""(H, W) raw counts, uint8 or uint16."""

LARGEST_SIDE_PX = 4096
"""Longest side of a frame; what is larger is refused before memory is taken for it."""


def frozen(array: NDArray[T]) -> NDArray[T]:
    """The array itself, marked read-only."""
    array.setflags(write=False)
    return array


def described(image: Image) -> str:
    """Width, height and type of an image, in a word."""
    return f"{image.shape[1]}x{image.shape[0]} {image.dtype}" if image.ndim == 2 else f"{image.shape} {image.dtype}"


def check_counts(image: Image) -> None:
    """Raises IrtrackError where an image is none that a camera makes: (H, W), uint8 or uint16."""
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or len(shape) != 2:
        what = "no array" if shape is None else f"an array of shape {tuple(shape)}"
        raise IrtrackError(f"an image is rows and columns of grey, not {what}: make it grey first")
    if dtype not in (np.uint8, np.uint16):
        raise IrtrackError(f"an image holds counts, uint8 or uint16, not {dtype}: scale it to counts first")
