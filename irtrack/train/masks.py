"""Masks as labelling tools write them: 0 and 255, 0 and 1, any two colours, an alpha channel, numbers of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.capture.images import read_image
from irtrack.core import IrtrackError, Remarks
from irtrack.hush import hushed

SMALL_LABEL = 32
"""Values up to this are numbers of objects or classes, where nothing is brighter."""

LOSSY = (".jpg", ".jpeg")


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
        mask = values != background
        if mask.mean() > 0.5:
            raise MaskError("marks more than half of the picture as target: is it inverted?")
        if found[0]:
            remarks.add("masks of two colours without black: the rarer one was taken as target")
        return np.asarray(mask)
    if found[-1] > full // 2:
        bright = values > full // 2
        if not lossy and has_faint_objects(values, bright):
            shown = ", ".join(str(v) for v in found[:6])
            raise MaskError(f"holds numbers of objects or classes beside {found[-1]} ({shown}, ...): make targets 255")
        return np.asarray(bright)
    if (found[-1] > SMALL_LABEL and len(found) > SMALL_LABEL) or found[0]:
        raise MaskError(f"holds {len(found)} values from {found[0]} to {found[-1]}: make targets 255 and the rest 0")
    remarks.add("masks that number objects or classes: all but 0 was taken as target")
    return np.asarray(values != 0)


def has_faint_objects(values: NDArray[np.int64], bright: NDArray[np.bool_]) -> bool:
    """Whether anything is marked by small numbers alone, and so is no soft edge of what is bright."""
    count, labels = cv2.connectedComponents((values > 0).astype(np.uint8), connectivity=8)
    return len(np.unique(labels[bright])) < count - 1


def most_frequent(values: NDArray[np.int64]) -> int:
    """The value that most pixels have."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])
