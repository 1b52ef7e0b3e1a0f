#!/usr/bin/env python3
"""What each part of the tracker brings: mean HOTA, IDF1, MOTA and switches over scenarios, without one part at a time.

    tools/ablate_tracker.py ROOT

ROOT/SCENARIO/SEED/ holds det.csv and gt.csv. Tracks are completed logs, as `irtrack track` writes them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Frame, FrameResult
from irtrack.metrics.tracking import score_tracks
from irtrack.sinks.text import CompletedLog, CsvSink
from irtrack.track.design import TrackerDesign
from irtrack.track.files import read_detections, read_tracks
from irtrack.track.rows import frames_of
from irtrack.track.tracker import KalmanTracker

BASE = replace(TrackerSettings(), log_delay_s=60.0)
VARIANTS: dict[str, tuple[TrackerSettings, dict[str, float]]] = {
    "everything": (BASE, {}),
    "one model of motion (300 px/s²)": (replace(BASE, quiet_px_s2=300.0, acceleration_px_s2=300.0), {}),
    "no camera motion": (replace(BASE, camera_motion="off"), {}),
    "any hit ends a coast": (BASE, {"miss_nats": 0.0}),
    "outages count as misses": (BASE, {"outage_s": 0.0}),
    "places that others visit count": (BASE, {"visitors": 1e9}),
    "score and size tell nothing": (BASE, {"temper": 0.0}),
    "log as known in each frame": (replace(BASE, log_delay_s=0.0), {}),
}


def run(
    folder: Path, settings: TrackerSettings, out: Path, design: TrackerDesign | None = None
) -> dict[str, float] | int:
    """Figures of one sequence; the number of false identities where the truth is empty."""
    tracker, blank = KalmanTracker(settings, design), np.zeros((1, 1), np.uint8)
    sink = CsvSink(out, force=True)
    log = CompletedLog(sink, settings.log_delay_s) if settings.log_delay_s else sink
    for frame, detections in frames_of(read_detections(folder / "det.csv")):
        result = FrameResult(Frame(frame, frame / 30, blank), detections, tracker(detections, frame / 30), {})
        log.write(result)
    log.close()
    truth, tracks = read_tracks(folder / "gt.csv"), read_tracks(out)
    size = json.loads((folder / "seq.json").read_text())
    inside = (tracks[:, 2:] >= 0).all(1) & (tracks[:, 2] < size["width"]) & (tracks[:, 3] < size["height"])
    return score_tracks(truth, tracks[inside]) if len(truth) else len(np.unique(tracks[:, 1]))


def main(root: Path) -> None:
    """Print a table."""
    print("| without | HOTA | IDF1 | MOTA | switches | worst scenario |\n| --- | --- | --- | --- | --- | --- |")
    for name, (settings, changes) in VARIANTS.items():
        design = replace(TrackerDesign(), **changes)  # type: ignore[arg-type]
        by_scenario: dict[str, list[dict[str, float]]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            for folder in sorted(p.parent for p in root.glob("*/*/det.csv")):
                figures = run(folder, settings, Path(scratch) / "tracks.csv", design)
                if isinstance(figures, dict):
                    by_scenario.setdefault(folder.parent.name, []).append(figures)
        means = {
            k: np.mean([np.mean([f[k] for f in runs]) for runs in by_scenario.values()])
            for k in ("HOTA", "IDF1", "MOTA")
        }
        switches = sum(int(f["switches"]) for runs in by_scenario.values() for f in runs)
        worst = min(by_scenario, key=lambda s: np.mean([f["HOTA"] for f in by_scenario[s]]))
        low = np.mean([f["HOTA"] for f in by_scenario[worst]])
        shown = " | ".join(f"{v:.1f}" for v in means.values())
        print(f"| {name} | {shown} | {switches} | {worst} {low:.0f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
