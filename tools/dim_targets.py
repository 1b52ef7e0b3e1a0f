#!/usr/bin/env python3
"""Dim targets: what the network finds in single frames, and what it finds with the temporal stage.

    tools/dim_targets.py [--seeds N] [--frames N] [--plot OUT.png]

On simulated clutter and sky, by signal to clutter ratio and by speed: share of the targets that are found in each frame
(Pd), and false objects a frame, from the thirtieth frame on. A target is found where a detection lies within 3 px.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from irtrack.build import load_detector
from irtrack.config import DetectorSettings
from irtrack.simulate import Scene, scene_from_text

FIRST, NEAR_PX, INSIDE_PX = 30, 3.0, 6.0
SPEEDS_PX = (0.05, 0.3, 1.0, 3.0, 5.0)
RATIOS = (1.5, 2.0, 3.0, 5.0)


def figures(text: str, temporal: bool, weights: str) -> tuple[int, int, int, int, list[float]]:
    """Targets, found ones, false objects, frames, and errors of the places found, in px."""
    scene = Scene(scene_from_text(text))
    detector = load_detector(DetectorSettings(weights=weights, device="cpu", mode="exact", temporal=temporal))
    s = scene.settings
    targets = found = false = frames = 0
    errors: list[float] = []
    for i in range(s.frames):
        seen = detector(scene.image(i)).xy_px
        if i < FIRST:
            continue
        frames += 1
        true = scene.truth(i).xy_px
        inside = ((true >= INSIDE_PX) & (true <= np.array([s.width, s.height]) - 1 - INSIDE_PX)).all(1)
        away = np.linalg.norm(true[:, None] - seen, axis=2) if len(seen) else np.full((len(true), 1), np.inf)
        near = away.min(1)
        targets += int(inside.sum())
        found += int((near[inside] < NEAR_PX).sum())
        errors += near[inside & (near < NEAR_PX)].tolist()
        if len(seen):
            false += int((away.min(0) >= NEAR_PX + 1).sum()) if len(true) else len(seen)
    return targets, found, false, frames, errors


def main() -> None:
    """Print the tables, and draw the curves where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--weights", default="datransnet-s")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows: dict[tuple[str, str, float, bool], tuple[float, float, float]] = {}
    print("| scene | | single frames: Pd | false a frame | with the stage: Pd | false a frame | error, px |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    cases = [("SCR", v, f"scr={v}") for v in RATIOS] + [
        ("px a frame, SCR 3", v, f"scr=3,speed_px_s={30 * v:g}") for v in SPEEDS_PX
    ]
    for scene in ("clutter", "sky"):
        for kind, value, change in cases:
            cells = []
            for temporal in (False, True):
                runs = [
                    figures(f"{scene},{change},frames={args.frames},seed={100 + k}", temporal, args.weights)
                    for k in range(args.seeds)
                ]
                targets, found, false, frames = np.sum([r[:4] for r in runs], 0).tolist()
                errors = [e for r in runs for e in r[4]]
                row = (100 * found / max(targets, 1), false / frames, float(np.median(errors)) if errors else np.nan)
                rows[scene, kind, value, temporal] = row
                cells += [f"{row[0]:.1f}", f"{row[1]:.3f}"] + [f"{row[2]:.2f}"] * temporal
            print(f"| {scene} | {kind} {value:g} | {' | '.join(cells)} |", flush=True)
    if args.plot:
        draw(rows, args.plot)


def draw(rows: dict[tuple[str, str, float, bool], tuple[float, float, float]], out: Path) -> None:
    """Pd by signal to clutter ratio."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for scene, colour in (("clutter", "#b5443c"), ("sky", "#3b6ea5")):
        for temporal, style in ((False, "--"), (True, "-")):
            pd = [rows[scene, "SCR", v, temporal][0] for v in RATIOS]
            label = f"{scene}, {'with the temporal stage' if temporal else 'single frames'}"
            axes.plot(RATIOS, pd, style, color=colour, marker="o", label=label)
    axes.set(xlabel="signal to clutter ratio", ylabel="targets found in each frame, %", ylim=(0, 101))
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main()
