"""Put a trained checkpoint among the shipped models: `python -m irtrack.train.publish best.pt NAME --data "..."`.

With `--measured "SET=evaluation.json"` (as `irtrack evaluate --json` writes it) the figures go into the manifest too;
it may be called again for a model that is there already.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
import torch

from irtrack.detect.manifest import models_folder
from irtrack.detect.weights import load_weights, save_weights


def publish(checkpoint: Path, name: str, data: str, note: str, folder: Path) -> dict[str, Any]:
    """Write NAME.safetensors and its manifest entry; figures measured before are kept under `figures`."""
    weights = load_weights(str(checkpoint))
    file = folder / f"{name}.safetensors"
    digest = save_weights(weights.network, file)
    validation = torch.load(checkpoint, map_location="cpu", weights_only=True).get("figures", {})
    manifest_path = folder / "manifest.toml"
    manifest = tomllib.loads(manifest_path.read_text(encoding="utf-8")) if manifest_path.exists() else {}
    manifest[name] = {
        "file": file.name,
        "sha256": digest,
        "architecture": "DATransNet",
        "base": weights.network.base,
        "img_size": weights.network.img_size,
        "input": "grey / 255",
        "threshold": 0.5,
        "training_data": data,
        "licence": "MIT",
        "note": note,
        "validation": {k: round(float(v), 3) for k, v in validation.items()},
    }
    manifest_path.write_text(tomli_w.dumps(manifest), encoding="utf-8")
    return manifest[name]


KEPT = ("IoU", "nIoU", "F1", "Pd", "Fa_1e-6", "false_objects_per_image", "AUC")


def add_figures(name: str, measured: list[str], folder: Path) -> None:
    """Enter evaluations (`SET=FILE` texts) into the manifest."""
    path = folder / "manifest.toml"
    manifest = tomllib.loads(path.read_text(encoding="utf-8"))
    for text in measured:
        where, _, file = text.partition("=")
        figures = json.loads(Path(file).read_text(encoding="utf-8"))["figures"]
        manifest[name].setdefault("measured", {})[where] = {k: round(float(figures[k]), 4) for k in KEPT}
    path.write_text(tomli_w.dumps(manifest), encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="best.pt of a run; leave out to add figures only")
    parser.add_argument("name")
    parser.add_argument("--data", default="", help="what it was trained on")
    parser.add_argument("--note", default="", help="how, and what to expect")
    parser.add_argument(
        "--measured", action="extend", nargs="*", default=[], metavar="SET=JSON", help="evaluations to enter"
    )
    args = parser.parse_args()
    if args.checkpoint:
        print(tomli_w.dumps({args.name: publish(args.checkpoint, args.name, args.data, args.note, models_folder())}))
    add_figures(args.name, args.measured, models_folder())


if __name__ == "__main__":
    main()
