"""Masks as labelling tools write them: 0 and 255, 0 and 1, any two colours, an alpha channel, numbers of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.capture.pictures import read_image
from irtrack.core import IrtrackError, Remarks
from irtrack.hush import hushed

SMALL_LABEL = 32
"""Values up to this are numbers of objects or classes, where nothing is brighter."""

LOSSY = (".jpg", ".jpeg")

EDGES = 0.1, 0.9
"""Shares of the brightest value between which a value is half marked: at a soft edge, or as another class."""

FLAT_PX = 3
"""No soft edge has one value over a square of such a side."""

LEAST_PX = 4
"""Nothing is said of objects that are smaller: all of one may be edge."""


class MaskError(IrtrackError):
    """A mask cannot be read, or says nothing that can be relied on."""


def read_mask(path: Path, remarks: Remarks) -> NDArray[np.bool_]:
    """Where a mask file marks targets, (H, W). Raises IrtrackError."""
    grey = read_image(path)  # which looks at its size before, and at whether it is whole
    with hushed():
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.shape[:2] != grey.shape:
        picture = grey
    try:
        return marked(flat(picture), path.suffix.lower() in LOSSY, remarks)
    except MaskError as error:
        raise MaskError(f"the mask {path} {error}") from None


def flat(picture: NDArray[Any]) -> NDArray[np.int64]:
    """One whole number for each pixel (H, W) of grey, colour or indexed pictures: black is 0, equal colours are equal.

    Transparency counts where it differs: what cannot be seen is black, and where all has one colour it is the mask.
    """
    if picture.dtype not in (np.uint8, np.uint16):
        raise MaskError(f"holds {picture.dtype} values: whole numbers of 8 or 16 bits are read")
    if picture.ndim == 2:
        return picture.astype(np.int64)
    colours, alpha = picture[:, :, : 3 if picture.shape[2] >= 3 else 1].astype(np.int64), None
    if picture.shape[2] in (2, 4) and np.ptp(picture[:, :, -1]):
        alpha = picture[:, :, -1].astype(np.int64)
    if alpha is not None and not np.ptp(colours.reshape(-1, colours.shape[2]), axis=0).any():
        return alpha
    if alpha is not None:
        colours = colours * (alpha > np.iinfo(picture.dtype).max // 2)[:, :, None]
    if (colours == colours[:, :, :1]).all():
        return colours[:, :, 0]
    names = colours @ np.array([1, 1 << 16, 1 << 32][: colours.shape[2]])
    # Two colours are told apart by their numbers; of more, how bright each is says what is marked.
    return names if several(names) == 2 else colours.max(2)


def several(values: NDArray[np.int64]) -> int:
    """How many values there are."""
    return len(np.unique(values))


def marked(values: NDArray[np.int64], lossy: bool, remarks: Remarks) -> NDArray[np.bool_]:
    """Which pixels are targets. Raises MaskError with the end of a sentence where the values do not say so."""
    mask = told(values, lossy, remarks)
    if mask.mean() > 0.5:
        raise MaskError("marks more than half of the picture as target: is it inverted?")
    return mask


def told(values: NDArray[np.int64], lossy: bool, remarks: Remarks) -> NDArray[np.bool_]:
    """As `marked`, whatever share of the picture that is."""
    found = np.unique(values)
    full = 255 if found[-1] < 256 else 65535
    if len(found) == 1:
        if found[0]:
            raise MaskError(f"is {found[0]} all over: background must differ from targets, or be 0")
        return np.zeros(values.shape, bool)
    if lossy and found[-1] <= SMALL_LABEL:
        raise MaskError(f"is a JPEG of values up to {found[-1]}, whose edges were lost in it: write masks as PNG")
    if len(found) == 2:
        background = 0 if found[0] == 0 else most_frequent(values)
        if found[0]:
            remarks.add("masks of two colours without black: the rarer one was taken as target")
        return np.asarray(values != background)
    if found[-1] > full // 2:
        if (values <= EDGES[0] * found[-1]).mean() < 0.5:
            raise MaskError(
                f"holds {len(found)} values up to {found[-1]}, and most of it is not dark: make targets 255, the rest 0"
            )
        bright = values > full // 2
        if not lossy and has_faint_objects(values, bright):
            shown = ", ".join(str(v) for v in found[:6])
            raise MaskError(f"holds numbers of objects or classes beside {found[-1]} ({shown}, ...): make targets 255")
        if not lossy and (half := flat_between(values) or between_alone(values)):
            raise MaskError(
                f"has areas of {half} beside {found[-1]}, which are no soft edges: other classes, or what is not "
                "known? Make targets 255 and the rest 0 (what is not known belongs into ignore/)"
            )
        return np.asarray(bright)
    if (found[-1] > SMALL_LABEL and len(found) > SMALL_LABEL) or found[0]:
        raise MaskError(f"holds {len(found)} values from {found[0]} to {found[-1]}: make targets 255 and the rest 0")
    remarks.add("masks that number objects or classes: all but 0 was taken as target")
    return np.asarray(values != 0)


def has_faint_objects(values: NDArray[np.int64], bright: NDArray[np.bool_]) -> bool:
    """Whether anything is marked by small numbers alone, and so is no soft edge of what is bright."""
    count, labels = cv2.connectedComponents((values > 0).astype(np.uint8), connectivity=8)
    return len(np.unique(labels[bright])) < count - 1


def flat_between(values: NDArray[np.int64]) -> int:
    """A value between background and the brightest one that fills an area; 0 where there is none."""
    low, high = (share * int(values.max()) for share in EDGES)
    steps = values.astype(np.float64)
    square = np.ones((FLAT_PX, FLAT_PX), np.uint8)
    one = cv2.dilate(steps, square) == cv2.erode(steps, square)
    found = values[one & (values > low) & (values < high)]
    return int(found[0]) if found.size else 0


def between_alone(values: NDArray[np.int64]) -> int:
    """The value between background and the brightest one that objects of a mask of three values have alone, where none
    has both, as at a soft edge; 0 where it is otherwise."""
    found = np.unique(values)
    if len(found) != 3 or found[0]:
        return 0
    labels = cv2.connectedComponents((values > 0).astype(np.uint8), connectivity=8)[1]
    half, full = (np.bincount(labels[values == value], minlength=labels.max() + 1) for value in found[1:])
    return int(found[1]) if half.max() >= LEAST_PX and not ((half > 0) & (full > 0)).any() else 0


def most_frequent(values: NDArray[np.int64]) -> int:
    """The value that most pixels have."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])
