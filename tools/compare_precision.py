"""Native kernels in bfloat16 beside those in float32: masks and figures on a test list, and CPU time of one thread.

    tools/compare_precision.py datransnet FOLDER SPLIT [--every N]

FOLDER and SPLIT as of `irtrack evaluate`. CPU time is hardly changed by what else the machine does.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irtrack.bench.network import frames
from irtrack.detect.backends import native_form
from irtrack.detect.detector import keep_large_blocks
from irtrack.detect.network import DATransNet
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import load_weights
from irtrack.train.data import load_dataset
from irtrack.train.evaluation import evaluate_fully

ROUNDS, FRAMES = 4, 4
PRECISIONS = ("float32", "bfloat16")


class Noted(nn.Module):
    """A network that keeps the masks of what it is shown."""

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network, self.threshold = network, threshold
        self.masks: list[NDArray[np.bool_]] = []

    def forward(self, x: Tensor) -> Tensor:
        """As the network."""
        y: Tensor = self.network(x)
        self.masks.append((y.sigmoid() > self.threshold).numpy())
        return y


def show_times(network: DATransNet) -> None:
    """Mean CPU milliseconds of a 640x512 frame, exact and in video mode, the precisions in turn."""
    shown = frames(640, 512, FRAMES * (ROUNDS + 1))
    for mode in ("exact", "video"):
        made = {p: native_form(network, p == "bfloat16") for p in PRECISIONS}
        forms = {p: VideoNetwork(form, 4) if mode == "video" else form for p, form in made.items()}
        taken: dict[str, list[float]] = {p: [] for p in PRECISIONS}
        with torch.inference_mode():
            for i, x in enumerate(shown):
                for precision, form in forms.items():
                    start = time.process_time()
                    form(x)
                    if i >= FRAMES:  # the first round makes attention and fills the caches
                        taken[precision].append(1e3 * (time.process_time() - start))
        print(f"{mode}: " + ", ".join(f"{p} {mean(ms):.1f} ms" for p, ms in taken.items()))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("split")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th image alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_large_blocks()
    weights, samples = load_weights(args.model), load_dataset(args.folder, args.split)[:: args.every]
    noted = {p: Noted(native_form(weights.network, p == "bfloat16"), weights.threshold) for p in PRECISIONS}
    for precision, network in noted.items():
        figures = evaluate_fully(network, samples, weights.threshold, "cpu").figures()
        print(f"{precision}: " + " ".join(f"{k} {v:.3f}" for k, v in figures.items() if isinstance(v, float)))
    pairs = [(a, b) for a, b in zip(*(n.masks for n in noted.values()), strict=True)]
    both, either = sum(int((a & b).sum()) for a, b in pairs), sum(int((a | b).sum()) for a, b in pairs)
    print(f"masks of {len(samples)} images agree with IoU {both / either:.5f} ({either} pixels)")
    show_times(weights.network)


if __name__ == "__main__":
    main()
