"""Evaluation at native resolution: reflect-padded to a multiple of 32 and cropped back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irtrack.detect.extraction import joined
from irtrack.detect.scoring import check_scores, score_map
from irtrack.metrics.curves import RocCurve, ThresholdSweep
from irtrack.metrics.legacy import LegacyScore
from irtrack.metrics.segmentation import SegmentationScore
from irtrack.train.data import Sample, turn
from irtrack.train.spots import found_and_broken

Row = dict[str, float | str]


def score_of(network: Callable[[Tensor], Tensor], sample: Sample, device: str) -> NDArray[np.float32]:
    """The score map (H, W) of an image. Raises IrtrackError where it holds no numbers."""
    with torch.inference_mode():
        x = torch.from_numpy(sample.grey)[None, None].to(device)
        score: NDArray[np.float32] = score_map(network, x)[0, 0].float().cpu().numpy()
    check_scores(score)
    return score


def judged(score: NDArray[np.float32], sample: Sample) -> NDArray[np.float32]:
    """The score map (H, W) of an image, 0 where nothing is known: what is said there is neither right nor wrong."""
    return score if sample.ignore is None else np.where(sample.ignore, np.float32(0), score)


def scores(
    network: Callable[[Tensor], Tensor], samples: Sequence[Sample], device: str
) -> Iterator[tuple[Sample, NDArray[np.float32]]]:
    """Each image with its score map (H, W)."""
    if isinstance(network, nn.Module):
        network.eval()
    for sample in samples:
        yield sample, score_of(network, sample, device)


def turned(samples: Sequence[Sample]) -> list[Sample]:
    """Each image in its four quarter turns, as it is and mirrored: figures of eight times the images vary less.

    A choice among checkpoints by few images takes the luckiest one.
    """
    out = []
    for sample in samples:
        for k in range(8):
            image, mask = turn(sample.image, k), turn(sample.mask, k)
            ignore = None if sample.ignore is None else turn(sample.ignore, k)
            out.append(replace(sample, image=image, mask=mask, ignore=ignore))
    return out


def evaluate(
    network: Callable[[Tensor], Tensor], samples: Sequence[Sample], threshold: float = 0.5, device: str = "cpu"
) -> tuple[dict[str, float], list[Row]]:
    """The set's figures at one threshold and a table of images.

    Beside the field's figures: `broken_percent` of the targets that were found at all stay in pieces, as detections
    have them.
    """
    total = SegmentationScore()
    table: list[Row] = []
    found = broken = 0
    for sample, score in scores(network, samples, device):
        table.append({"name": sample.name, **total.add(judged(score, sample) > threshold, sample.mask)})
        pieces = joined(score, score > threshold, threshold)
        counts = found_and_broken(pieces, sample.mask, sample.ignore)
        found, broken = found + counts[0], broken + counts[1]
    return {**total.figures(), "broken_percent": 100 * broken / max(found, 1)}, table


def evaluate_sets(
    network: Callable[[Tensor], Tensor], sets: Mapping[str, Sequence[Sample]], device: str = "cpu"
) -> tuple[dict[str, dict[str, float]], float]:
    """Figures by set, and the value that checkpoints are chosen by.

    That is the mean over sets of `worth`.
    """
    figures = {name: evaluate(network, samples, device=device)[0] for name, samples in sets.items()}
    return figures, sum(worth(figures[name], samples) for name, samples in sets.items()) / len(sets)


def worth(figures: Mapping[str, float], samples: Sequence[Sample]) -> float:
    """IoU and Pd in percent, less a point for each ten of Fa in 1e-6.

    Masks made from boxes, which have pixels left open, say where targets are and not how large: there twice Pd, less a
    point for each tenth of a false object an image and for every two targets of a hundred that are seen in pieces.
    """
    if any(s.ignore is not None for s in samples):
        return 2 * figures["Pd"] - 10 * figures["false_objects_per_image"] - figures["broken_percent"] / 2
    return figures["IoU"] + figures["Pd"] - figures["Fa_1e-6"] / 10


@dataclass
class Evaluation:
    """All that is known of a network on a set: figures, legacy figures, curves, a table of images."""

    threshold: float
    total: SegmentationScore = field(default_factory=SegmentationScore)
    legacy: LegacyScore = field(default_factory=LegacyScore)
    sweep: ThresholdSweep = field(default_factory=ThresholdSweep)
    roc: RocCurve = field(default_factory=RocCurve)
    table: list[Row] = field(default_factory=list)

    def add(self, sample: Sample, score: NDArray[np.float32]) -> None:
        """Count one image, with a score map as `scores` gives it."""
        self.legacy.add(score, sample.mask)
        self.sweep.add(score, sample.mask)
        self.roc.add(score, sample.mask)
        self.table.append({"name": sample.name, **self.total.add(score > self.threshold, sample.mask)})

    def figures(self) -> dict[str, float]:
        """At the threshold, and the area under the pixels' ROC."""
        return {**self.total.figures(), "AUC": self.roc.auc()}

    def worst(self, count: int) -> list[str]:
        """Names of the images with most mistakes (missed targets and false objects), then least IoU."""

        def badness(row: Row) -> tuple[float, float]:
            missed = float(row["targets"]) - float(row["matched"])
            return -(missed + float(row["false_objects"])), float(row["iou"])

        return [str(row["name"]) for row in sorted(self.table, key=badness)[:count]]


def evaluate_fully(
    network: Callable[[Tensor], Tensor], samples: Sequence[Sample], threshold: float, device: str
) -> Evaluation:
    """Every figure of a network on a set."""
    whole = Evaluation(threshold)
    for sample, score in scores(network, samples, device):
        whole.add(sample, judged(score, sample))
    return whole
