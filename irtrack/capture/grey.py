"""Any decoded picture to grey raw counts; the one rule for limited range."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what they would print is said in one line
av.logging.set_level(None)

LIMITED, FULL = 1, 2
"""FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG."""


def expand_limited(plane: Image, bits: int) -> Image:
    """Limited-range luma (16 to 235 at 8 bits) to full range, rounded; values outside are clipped."""
    unit = 1 << (bits - 8)
    top = (1 << bits) - 1
    if plane.dtype == np.uint8:
        table = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
        return table[plane]
    full = np.round((plane.astype(np.float32) - 16 * unit) * (top / (219 * unit)))
    return np.clip(full, 0, top).astype(np.uint16)


def colour_to_grey(image: NDArray[Any]) -> Image:
    """(H, W, 3 or 4) RGB(A) or (H, W) to (H, W): luma of ITU-R BT.601, alpha ignored."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    grey: Image = cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_RGB2GRAY)
    return grey


def oriented(image: Image, orientation: int) -> Image:
    """A stored picture as it is to be shown; `orientation` as in EXIF, 1 to 8 (others: as it is)."""
    turned = {
        2: lambda: image[:, ::-1],
        3: lambda: image[::-1, ::-1],
        4: lambda: image[::-1],
        5: lambda: image.T,
        6: lambda: np.rot90(image, -1),
        7: lambda: image[::-1, ::-1].T,
        8: lambda: np.rot90(image),
    }.get(orientation)
    return np.ascontiguousarray(turned()) if turned else image


def as_counts(image: NDArray[Any]) -> Image:
    """Integers of any type as uint8 or uint16, unchanged; bits as black and white. Raises ValueError for what cannot
    be: floats, negative numbers, numbers above 65535."""
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind not in "iu":
        raise ValueError(f"{image.dtype} pixels, which may mean anything: export it as 16-bit counts")
    low, high = (int(image.min()), int(image.max())) if image.size else (0, 0)
    if low < 0 or high > 65535:
        raise ValueError(f"{image.dtype} pixels from {low} to {high}: counts from 0 to 65535 are read")
    return image.astype(np.uint16)


def frame_to_grey(frame: av.VideoFrame) -> tuple[Image, int]:
    """Grey counts (H, W) of a decoded frame, a copy of its own, and its bits.

    Grey and YUV formats give their luma plane; limited range is expanded where the stream says so, and for YUV also
    where it says nothing (that is what players assume). Colour is turned to grey.
    """
    name, luma = frame.format.name, frame.format.components[0]
    is_yuv = name.startswith(("yuv", "nv", "p01"))
    if not (is_yuv or name.startswith("gray")):
        if luma.bits > 8:  # deep colour keeps its depth
            return frame_to_grey(frame.reformat(format="gray16le"))
        return colour_to_grey(frame.to_ndarray(format="rgb24")), 8
    if (
        name.endswith("be")
        or luma.bits > 16
        or name.startswith("grayf")
        or (is_yuv and luma.bits != 8 and name.startswith(("nv", "p01")))
    ):
        return frame_to_grey(frame.reformat(format="gray16le" if luma.bits > 8 else "gray"))
    plane = frame.planes[0]
    dtype = np.dtype(np.uint8) if luma.bits <= 8 else np.dtype("<u2")
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
    grey = rows[: frame.height, : frame.width]
    limited = frame.color_range == LIMITED or (frame.color_range != FULL and is_yuv and not name.startswith("yuvj"))
    return (expand_limited(grey, luma.bits) if limited else grey.copy()), luma.bits
