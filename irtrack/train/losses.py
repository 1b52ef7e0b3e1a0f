"""Losses on logits (B, 1, H, W) and masks of the same shape."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

BCE_WEIGHT = 20.0
"""Of the mean over pixels, where a target is some 20 of 16,384: so that a few wrong pixels in a crop count."""


def soft_iou(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - IoU of the scores, image by image, then averaged: empty masks cannot drown the others (SoftIoU, smooth 1)."""
    p = logits.sigmoid()
    inter = (p * masks).sum((1, 2, 3))
    union = (p + masks - p * masks).sum((1, 2, 3))
    return (1 - (inter + 1) / (union + 1)).mean()


def soft_iou_pooled(logits: Tensor, masks: Tensor) -> Tensor:
    """The authors' SoftIoU: intersection and union pooled over the batch (legacy recipe)."""
    p = logits.sigmoid()
    inter = (p * masks).sum()
    return 1 - (inter + 1) / (p.sum() + masks.sum() - inter + 1)


def soft_iou_bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Per-image SoftIoU plus binary cross-entropy.

    Cross-entropy keeps gradients alive where SoftIoU saturates and punishes confident false alarms on empty crops.
    """
    return soft_iou(logits, masks) + BCE_WEIGHT * F.binary_cross_entropy_with_logits(logits, masks)


def towards_teacher(logits: Tensor, scores: Tensor) -> Tensor:
    """Cross-entropy against a teacher's scores (B, 1, H, W), weighted as in `soft_iou_bce`.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1: scores here are soft enough.
    """
    return BCE_WEIGHT * F.binary_cross_entropy_with_logits(logits, scores)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "soft_iou": soft_iou,
    "soft_iou_pooled": soft_iou_pooled,
    "soft_iou_bce": soft_iou_bce,
}
