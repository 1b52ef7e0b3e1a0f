#!/usr/bin/env python3
"""Live mode on machines of several speeds, on clips with truth: `tools/live_rates.py ROOT [--every N]`.

ROOT is as for the shared scoring of clips (`NAME.mp4|avi` or a folder of images, with `NAME.gt.csv` or `gt.csv`). The
detector is the real one; the clock is simulated: a pixel through the network takes so long that a whole frame takes
SPEEDS seconds, and the camera goes on meanwhile, so that frames are dropped as they would be. Rows and truth of the
frames that have a result are compared, for live mode, for whole frames on the same machine, and for whole frames at
the rate of results that live mode came to. Position within the box grown by 3 px (9 px at least) is a hit.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from irtrack.build import make_tracker
from irtrack.capture import open_source
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Detections, Frame, Image
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.live import PASS_S, LiveDetector
from irtrack.detect.weights import load_weights
from irtrack.pipeline import process_frame

SPEEDS = (0.03, 0.07, 0.1, 0.33, 2.0)
"""Seconds that a whole frame takes: about 30, 20, 10, 3 and half a result a second."""

MARGIN_PX, SMALLEST_BOX_PX, MODEL = 3.0, 9.0, "datransnet-s"
SETTINGS = DetectorSettings(device="cpu")

Boxes = dict[int, list[tuple[float, float, float, float]]]


@dataclass
class Machine:
    """A clock that only the network moves."""

    s_per_px: float
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Timed:
    """A network that takes the machine's time."""

    network: torch.nn.Module
    machine: Machine

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.machine.now_s += PASS_S + x.numel() * self.machine.s_per_px
        out: torch.Tensor = self.network(x)
        return out


@dataclass
class Whole:
    """Whole frames; each of a clip goes through the network once, however often it is asked for."""

    network: NetworkDetector
    known: dict[int, Detections] = field(default_factory=dict)

    def __call__(self, image: Image) -> Detections:
        if id(image) not in self.known:
            self.known[id(image)] = replace(self.network(image), mask=None, scores=None)
        return self.known[id(image)]


@dataclass
class Count:
    """Hits, rows, truth and results."""

    hits: int = 0
    rows: int = 0
    truth: int = 0
    results: int = 0
    seconds: float = 0.0
    outside: int = 0
    used: list[int] = field(default_factory=list)

    def add(self, other: Count) -> None:
        for name in ("hits", "rows", "truth", "results", "seconds", "outside"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line(self) -> str:
        recall, precision = 100 * self.hits / max(self.truth, 1), 100 * self.hits / max(self.rows, 1)
        rate = self.results / max(self.seconds, 1e-9)
        return f"{rate:5.1f} results/s  recall {recall:5.1f}  precision {precision:5.1f}  outside {self.outside}"


def clips(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, source and truth of each clip."""
    for truth in sorted(root.rglob("*gt.csv")):
        stem = truth.name.removesuffix("gt.csv").removesuffix(".")
        found = [p for e in (".mp4", ".avi", ".mkv") if (p := truth.with_name(stem + e)).exists()]
        if not stem:
            yield truth.parent.name, truth.parent, truth
        elif found:
            yield stem, found[0], truth


def read_truth(path: Path) -> Boxes:
    """Centres and sizes by frame."""
    out: Boxes = {}
    with path.open(newline="", encoding="utf-8") as f:
        for r in csv.DictReader(f):
            w, h = float(r.get("w") or 0), float(r.get("h") or 0)
            x = float(r["x"]) + w / 2 - 0.5 if r.get("x") else float(r["cx"])
            y = float(r["y"]) + h / 2 - 0.5 if r.get("y") else float(r["cy"])
            out.setdefault(int(r["frame"]), []).append((x, y, w, h))
    return out


def hits(boxes: list[tuple[float, float, float, float]], places: list[tuple[float, float]]) -> int:
    """One-to-one matches."""
    if not boxes or not places:
        return 0
    b, p = np.array(boxes), np.array(places)
    reach = np.maximum(b[:, 2:], SMALLEST_BOX_PX) / 2 + MARGIN_PX
    away = np.abs(p[None] - b[:, None, :2])
    cost = np.where((away <= reach[:, None]).all(2), np.hypot(*np.moveaxis(away, 2, 0)), 1e6)
    i, j = linear_sum_assignment(cost)
    return int((cost[i, j] < 1e6).sum())


def follow(frames: list[Frame], truth: Boxes, whole_s: float, step_s: float | None, whole: Whole | None) -> Count:
    """One clip on one machine, in live mode or from whole frames; `step_s`: these come at this interval instead."""
    height, width = frames[0].image.shape
    padded = -(-height // 32) * 32 * (-(-width // 32) * 32)
    machine = Machine((whole_s - PASS_S) / padded)
    interval_s = float(np.median(np.diff([f.time_s for f in frames])))
    live = LiveDetector(load_weights(MODEL), SETTINGS, torch.device("cpu"), interval_s, clock=machine)
    live._network = Timed(live._network, machine)  # type: ignore[assignment]
    tracker, count, number = make_tracker(Settings()), Count(seconds=frames[-1].time_s), -1
    found: dict[int, list[tuple[int, float, float]]] = {}
    confirmed: set[int] = set()
    times = np.array([f.time_s for f in frames])
    while True:
        number = max(number + 1, int(np.searchsorted(times, machine.now_s + 1e-9, side="right")) - 1)
        if number >= len(frames):
            break
        frame = frames[number]
        machine.now_s = max(machine.now_s, frame.time_s)
        result = process_frame(frame, whole or live, tracker)  # type: ignore[arg-type]
        if whole:
            machine.now_s += step_s or whole_s
        found[frame.index] = [(t.id, float(t.xy_px[0]), float(t.xy_px[1])) for t in result.tracks]
        confirmed |= {t.id for t in result.tracks if t.confirmed}
    last = max(truth, default=-1)
    for index, tracks in found.items():  # a log is completed: what was confirmed later counts from its first frame
        places = [(x, y) for i, x, y in tracks if i in confirmed]
        count.results += 1
        count.outside += sum(not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5) for x, y in places)
        if index <= last:
            count.rows += len(places)
            count.truth += len(truth.get(index, []))
            count.hits += hits(truth.get(index, []), places)
    return count


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--every", type=int, default=1, help="each N-th clip")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    wanted = set(filter(None, args.only.split(",")))
    chosen = [c for c in clips(args.root) if not wanted or c[0] in wanted][:: args.every]
    names = ("live", "whole frames, this machine", "whole frames, this rate")
    totals = {(speed, name): Count() for speed in SPEEDS for name in names}
    for name, source, truth_path in chosen:
        opened = open_source(str(source))
        frames, truth = list(opened), read_truth(truth_path)
        opened.close()
        whole = Whole(NetworkDetector(load_weights(MODEL), SETTINGS, torch.device("cpu")))
        for speed in SPEEDS:
            live = follow(frames, truth, speed, None, None)
            rate = live.results / max(live.seconds, 1e-9)
            same = follow(frames, truth, speed, None, whole)
            for kind, count in zip(names, (live, same, follow(frames, truth, speed, 1 / rate, whole)), strict=True):
                totals[speed, kind].add(count)
        print(name, file=sys.stderr, flush=True)
    for (speed, kind), total in totals.items():
        print(f"{1e3 * speed:5.0f} ms a frame  {kind:27s} {total.line()}")


if __name__ == "__main__":
    main()
