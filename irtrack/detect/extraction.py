"""From a score map to detections, without a Python loop over components."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Image, Scores
from irtrack.detect.background import QUANTISATION_STD, background
from irtrack.imaging.symbols import without_strokes

SCORE_FLOOR = 0.01
"""The least threshold that can be chosen: scores up to this say nothing."""

JOIN_SHARE, JOIN_REACH_PX = 0.4, 4
"""Pieces are one target where the scores between them stay above this share of the threshold, over a gap of up to
twice so many pixels: a drone shows as several warm spots."""

GROW_SHARE, MOST_GROWN_PX = 0.38, 2
"""Nor need there be anything between them where they lie close for their size: each piece is grown by this share of the
side of a square of its area, by whole pixels and so many at most, and those that meet are one. Points do not grow."""


def extract(
    scores: Scores,
    image: Image,
    threshold: float,
    min_area_px: int = 1,
    max_area_px: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Detections:
    """8-connected components of `scores > threshold`, pieces joined (`joined`), measured on the raw image, but for
    burnt-in sights.

    scores (H, W) float32 and image (H, W) give Detections as `core.Detections` defines them. Centroids weight each
    pixel of the component, grown by one, by its contrast to the local background, so that dark targets work as well
    as bright ones. Components outside the area limits, or centred where `allowed` (H, W) is False, are dropped, also
    from the mask.
    """
    mask = scores > threshold
    rows, columns = occupied(mask, 1), occupied(mask, 0)
    if not len(rows):
        return Detections.empty(mask, scores)
    image = without_strokes(image)
    window: Any = np.ix_(rows, columns)
    if 2 * len(rows) * len(columns) > mask.size:  # not worth the copies
        rows, columns, window = np.arange(mask.shape[0]), np.arange(mask.shape[1]), np.s_[:, :]
    scored = scores[window]
    labels = joined(scored, mask[window], threshold)
    where = np.flatnonzero(labels)
    label = labels.ravel()[where] - 1
    area = np.bincount(label)
    n = len(area)
    order = np.argsort(label, kind="stable")
    starts = np.concatenate(([0], np.cumsum(area)[:-1]))
    y, x = (of[at][order] for of, at in zip((rows, columns), np.divmod(where, len(columns)), strict=True))
    corner = np.stack([np.minimum.reduceat(x, starts), np.minimum.reduceat(y, starts)], 1)
    size = np.stack([np.maximum.reduceat(x, starts), np.maximum.reduceat(y, starts)], 1) + 1 - corner
    keep = area >= min_area_px
    if max_area_px is not None:
        keep &= area <= max_area_px
    mean, std = background(image, mask, corner, size)
    near = image[window]
    value = near.ravel()[where].astype(np.float64)
    target_mean = np.bincount(label, value, n) / area
    contrast = target_mean - mean
    xy = centroids(labels, near, mean, contrast, rows, columns)
    if allowed is not None:
        column, row = np.clip(np.round(xy).astype(int), 0, [image.shape[1] - 1, image.shape[0] - 1]).T
        keep &= allowed[row, column]
    best = np.maximum.reduceat(scored.ravel()[where][order], starts)
    box = np.concatenate([corner - 0.5, size], 1)
    if not keep.all():
        mask[window] = np.concatenate(([False], keep))[labels]
    snr = np.abs(contrast) / np.maximum(std, QUANTISATION_STD)
    return Detections(
        xy[keep], best[keep].astype(np.float64), area[keep].astype(np.float64), box[keep], snr[keep], mask, scores
    )


def joined(scores: Scores, mask: NDArray[np.bool_], threshold: float) -> NDArray[np.int32]:
    """Labels (H, W), from 1, of the 8-connected components of a mask `scores > threshold`.

    Those are one that are connected by lower scores nearby (two thresholds, as Canny's edges are followed, IEEE PAMI
    8(6), 1986), or that lie close for their size: the motors of a drone about its body.
    """
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    lower = max(JOIN_SHARE * threshold, SCORE_FLOOR)
    if count <= 2 or lower >= threshold:
        return np.asarray(labels, np.int32)
    reach = np.ones((2 * JOIN_REACH_PX + 1,) * 2, np.uint8)
    beside = (scores > lower).view(np.uint8) & cv2.dilate(mask.view(np.uint8), reach)
    wide = cv2.connectedComponents(beside | grown(labels), connectivity=8, ltype=cv2.CV_32S)[1]
    labels[mask] = np.unique(wide[mask], return_inverse=True)[1] + 1
    return np.asarray(labels, np.int32)


def grown(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """1 on the components of a map of labels (H, W), each grown by what its area allows."""
    by = np.minimum(GROW_SHARE * np.sqrt(np.bincount(labels.ravel())), MOST_GROWN_PX).astype(np.uint8)
    by[0] = 0
    far = by[labels]
    out = (labels > 0).astype(np.uint8)
    for px in range(1, MOST_GROWN_PX + 1):
        out |= cv2.dilate((far == px).view(np.uint8), np.ones((2 * px + 1,) * 2, np.uint8))
    return out


def occupied(mask: NDArray[np.bool_], axis: int) -> NDArray[np.intp]:
    """Rows (axis 1) or columns (axis 0) with target pixels, and those so near that pieces may be joined through them.

    Components are the same in what is left of a frame without the others, most of it: those that are not joined have
    an empty row or column between them still.
    """
    near = np.ones((1, 2 * (JOIN_REACH_PX + 1) + 1), np.uint8)
    return np.flatnonzero(cv2.dilate(np.asarray(mask.any(axis), np.uint8)[None], near))


def centroids(
    labels: NDArray[np.int32],
    image: Image,
    mean: NDArray[np.float64],
    contrast: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Contrast-weighted centroids (N, 2) in (x, y) of the components grown by one pixel.

    labels and image are of these rows and columns of the frame.
    """
    n, width = len(mean), labels.shape[1]
    if n < 65535:
        grown = cv2.dilate(labels.astype(np.uint16), np.ones((3, 3), np.uint8)).astype(np.int32)
        grown = np.where(labels > 0, labels, grown)  # a component never loses its own pixels to a neighbour
    else:
        grown = labels
    where = np.flatnonzero(grown)
    label = grown.ravel()[where] - 1
    y, x = np.divmod(where, width)
    sign = np.where(contrast < 0, -1.0, 1.0)
    weight = np.maximum((image.ravel()[where] - mean[label]) * sign[label], 0.0)
    weight += 1e-6 * (labels.ravel()[where] > 0)  # a component without contrast is centred on its own pixels
    total = np.bincount(label, weight, n)
    return np.stack([np.bincount(label, weight * to[k], n) for to, k in ((columns, x), (rows, y))], 1) / total[:, None]
