"""Losses on logits (B, 1, H, W) and masks alike: 1 target, 0 background, `UNKNOWN` where nothing is asked."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

UNKNOWN = -1.0
"""In a mask: a pixel that the loss does not look at."""

BCE_WEIGHT = 20.0
"""Of the mean over pixels, where a target is some 20 of 16,384: so that a few wrong pixels in a crop count."""


def soft_iou(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - IoU of the scores, image by image, then averaged: empty masks cannot drown the others (SoftIoU, smooth 1)."""
    p, masks = logits.sigmoid() * (masks >= 0), masks.clamp(min=0)
    inter = (p * masks).sum((1, 2, 3))
    union = (p + masks - p * masks).sum((1, 2, 3))
    return (1 - (inter + 1) / (union + 1)).mean()


def soft_iou_pooled(logits: Tensor, masks: Tensor) -> Tensor:
    """The authors' SoftIoU: intersection and union pooled over the batch (legacy recipe)."""
    p, masks = logits.sigmoid() * (masks >= 0), masks.clamp(min=0)
    inter = (p * masks).sum()
    return 1 - (inter + 1) / (p.sum() + masks.sum() - inter + 1)


def soft_iou_bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Per-image SoftIoU plus binary cross-entropy.

    Cross-entropy keeps gradients alive where SoftIoU saturates and punishes confident false alarms on empty crops.
    """
    known = (masks >= 0).to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, masks.clamp(min=0), known)
    return soft_iou(logits, masks) + BCE_WEIGHT * entropy


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
