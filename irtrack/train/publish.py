"""Put a trained checkpoint among the shipped models: `python -m irtrack.train.publish best.pt NAME --data "..."`."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
import torch

from irtrack.detect.weights import load_weights, models_folder, save_weights


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="what it was trained on")
    parser.add_argument("--note", default="", help="how, and what to expect")
    args = parser.parse_args()
    print(tomli_w.dumps({args.name: publish(args.checkpoint, args.name, args.data, args.note, models_folder())}))


if __name__ == "__main__":
    main()
