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

FULL = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""

FLOATS = ("f16", "f32")
"""In names of pixel formats."""

PACKED = {
    "yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "uyyvyy411": "yuv411p",
    "vuya": "yuv444p", "vuyx": "yuv444p", "ayuv": "yuv444p", "uyva": "yuv444p", "vyu444": "yuv444p",
}  # fmt: skip
"""Formats whose luma lies among their colours, and planar ones of the same samples."""


HIGH_COLOUR = ("rgb555", "bgr555", "rgb565", "bgr565")
"""Raw pixels of 16 bits that are colours: what AVI and MOV take raw counts for that have no FOURCC."""

LOWEST, LEAPING = 31, 0.01
"""Bits of the lowest colour of these; share of pixels at which it leaps where they are counts."""

COLOURED, MOST_GREY = 48, 2 / 3
"""A pixel is coloured whose channels lie so far apart; a picture of which no larger share is not."""

IN_COLOURS = (
    "pictures in colours, of which the brightness is read: in false colours, such as rainbow, that is not the heat: "
    "record in grey (white hot)"
)

LARGEST_UPPER = 64
"""Of counts of 14 bits the upper byte is below this."""


def is_swapped(image: Image) -> bool:
    """Whether counts of 16 bits are smoother with the bytes of each in the other order, by far: whoever wrote them had
    another one in mind. Eight bits that were shifted up, whose lower byte says nothing, are none of these."""
    lower = image & 0xFF
    if (lower == lower.flat[0]).all():
        return False
    rough = [float(np.abs(np.diff(picture.astype(np.int32), axis=1)).sum()) for picture in (image, image.byteswap())]
    return 4 * rough[1] < rough[0]


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


def are_colours(image: NDArray[Any]) -> bool:
    """Whether a picture (H, W) or (H, W, RGB...) is in colours, and not in grey with some marks in colour."""
    if image.ndim < 3 or image.shape[2] < 3:
        return False
    colours = image[::2, ::2, :3]
    apart = colours.max(2) - colours.min(2)
    return bool((apart > (COLOURED if image.dtype == np.uint8 else COLOURED << 8)).mean() > 1 - MOST_GREY)


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


def lacks_palette(frame: av.VideoFrame) -> bool:
    """Whether the numbers of a picture by palette have one colour all, as where a grabber wrote grey without saying."""
    if frame.format.name != "pal8":
        return False
    colours = frame.to_ndarray()[1]
    return bool((colours == colours[0]).all())


def holds_counts(frame: av.VideoFrame) -> bool:
    """Whether a raw picture whose header says colours of 16 bits holds counts.

    In the upper bytes of YUYV, where colours should be, which are 128 in a grey picture, all are small, as of 14 bits.
    Of packed colours, from one pixel to the next the lowest leaps from full to none while the next one takes one step.
    """
    name = frame.format.name
    if not name.startswith(("yuyv422", *HIGH_COLOUR)):
        return False
    plane = frame.planes[0]
    counts = np.frombuffer(memoryview(plane), ">u2" if name.endswith("be") else "<u2").astype(np.int32)
    counts = counts.reshape(plane.height, -1)[: frame.height, : frame.width]
    if name == "yuyv422":
        return bool(counts.max() >> 8 < LARGEST_UPPER)
    leaps = np.abs(np.diff(counts & LOWEST, axis=1)) > LOWEST / 2
    return bool((leaps & (np.abs(np.diff(counts, axis=1)) < LOWEST / 2)).mean() > LEAPING)


def frame_to_grey(frame: av.VideoFrame) -> tuple[Image, int]:
    """Grey counts (H, W) of a decoded frame, a copy of its own, and its bits.

    YUV gives its luma plane, expanded from limited range unless the stream says that it is full (what players assume).
    Grey is taken as it is stored, as FFmpeg does, whatever range a stream says: much full grey is marked as limited by
    the picture that it was made from, and expanding it would cut off its ends. Colour is turned to grey. Raises
    ValueError for floats.
    """
    name, luma = frame.format.name, frame.format.components[0]
    if any(mark in name for mark in FLOATS):
        raise ValueError(f"{name} pixels, which may mean anything: export it as 16-bit counts")
    if lacks_palette(frame):
        return frame.to_ndarray()[0], 8
    if name in PACKED:  # planar has the same samples; by RGB, luma would be off by some counts
        return frame_to_grey(frame.reformat(format=PACKED[name]))
    is_yuv, is_grey = name.startswith(("yuv", "nv", "p01")), name.startswith(("gray", "ya"))
    if not (is_yuv or is_grey):
        if luma.bits > 8:  # deep colour keeps its depth
            return frame_to_grey(frame.reformat(format="gray16le"))
        return colour_to_grey(frame.to_ndarray(format="rgb24")), 8
    if luma.bits != 8 and name.startswith(("nv", "p01")):
        return frame_to_grey(frame.reformat(format="gray16le"))
    plane = frame.planes[0]
    dtype = np.dtype(np.uint8) if luma.bits <= 8 else np.dtype(">u2" if name.endswith("be") else "<u2")
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
    step = 2 if name.startswith("ya") else 1  # grey, and how opaque it is
    grey = rows[: frame.height, : step * frame.width : step].astype(dtype.newbyteorder("="))
    limited = is_yuv and frame.color_range != FULL and not name.startswith("yuvj")
    return (expand_limited(grey, luma.bits) if limited else grey), luma.bits
