"""Evaluation at native resolution: reflect-padded to a multiple of 32 and cropped back."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from irtrack.detect.network import DATransNet
from irtrack.detect.scoring import score_map
from irtrack.metrics.segmentation import SegmentationScore
from irtrack.train.data import Sample


def evaluate(
    network: DATransNet, samples: Sequence[Sample], threshold: float = 0.5, device: str = "cpu"
) -> tuple[dict[str, float], list[dict[str, float | str]]]:
    """The set's figures and a table of images."""
    network.eval()
    score = SegmentationScore()
    table: list[dict[str, float | str]] = []
    for sample in samples:
        with torch.inference_mode():
            x = torch.from_numpy(sample.image.astype("float32") / 255)[None, None].to(device)
            predicted = score_map(network, x)[0, 0].cpu().numpy() > threshold
        table.append({"name": sample.name, **score.add(predicted, sample.mask)})
    return score.figures(), table
