"""The mean of several runs' weights: `python -m irtrack.train.soup OUT A.pt[=SHARE] B.pt[=SHARE] --val DIR[:SPLIT]`.

Runs from a common start end in one valley of the loss, and the mean of their weights tends to be better than each of
them, at the cost of one (Wortsman et al., "Model soups", ICML 2022). Whether it is, the validation images in all their
turns say: figures are printed for each part and for the mean, which is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from irtrack.core import ConfigError, IrtrackError
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import build, load_weights
from irtrack.train.commands import load_sets, parse_set
from irtrack.train.evaluation import evaluate_sets, turned
from irtrack.train.loop import atomic_save, flatten


def mean_weights(networks: Sequence[DATransNet], shares: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of the networks' tensors; whole numbers are those of the first. Raises ConfigError."""
    states = [n.state_dict() for n in networks]
    if len({(n.base, n.img_size) for n in networks}) > 1:
        raise ConfigError("weights of networks of different widths or attention scales have no mean")
    total = sum(shares)
    if min(shares) < 0 or total <= 0:
        raise ConfigError("shares must be positive")
    return {
        key: torch.stack([s[key] * (w / total) for s, w in zip(states, shares, strict=True)]).sum(0)
        if first.is_floating_point()
        else first
        for key, first in states[0].items()
    }


def parse_part(text: str) -> tuple[str, float]:
    """`NAME/PATH[=SHARE]`. Raises ConfigError."""
    name, _, share = text.partition("=")
    try:
        return name, float(share or 1)
    except ValueError as error:
        raise ConfigError(f"{text!r}: the share {share!r} is not a number") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m irtrack.train.soup", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", metavar="NAME/PATH[=SHARE]")
    parser.add_argument("--val", action="extend", nargs="+", required=True, metavar="DIR[:SPLIT]")
    parser.add_argument("--root", type=Path, default=Path(), help="where the folders of sets lie")
    args = parser.parse_args(arguments)
    try:
        return cook(args.out, [parse_part(p) for p in args.parts], args.val, args.root)
    except IrtrackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def cook(out: Path, parts: Sequence[tuple[str, float]], validation: Sequence[str], root: Path) -> int:
    """Measure the parts and their mean, and write that."""
    sets = load_sets([parse_set(text) for text in validation], root)
    judged = {f"{name} turned": turned(samples) for name, samples in sets.items()}
    networks = [load_weights(name).network for name, _ in parts]
    first = networks[0]
    mean = build(mean_weights(networks, [share for _, share in parts]), first.img_size, out)
    names = [name for name, _ in parts]
    measured = []
    for network in (*networks, mean):
        figures, value = evaluate_sets(prepare(network, torch.device("cpu")), judged)
        measured.append(flatten(figures) | {"value": value})
    for name, row in zip((*names, "mean"), measured, strict=True):
        print(name, " ".join(f"{key} {figure:.2f}" for key, figure in row.items()))
    settings = {"base": first.base, "img_size": first.img_size}
    about = {"parts": [f"{name}={share:g}" for name, share in parts]}
    atomic_save({"state_dict": mean.state_dict(), "settings": settings, "figures": measured[-1], "about": about}, out)
    print(f"  wrote {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
