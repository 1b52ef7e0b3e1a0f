#!/usr/bin/env python3
"""The table of `irtrack/track/belief.toml` for detections with the temporal stage, learned from clips and scenes.

    tools/learn_beliefs.py CACHE --clips FOLDER [--clips FOLDER ...] [--processes N]
        [--out irtrack/track/belief.toml]

Of each clip (X.mp4 beside X.gt.csv) and of each simulated scene, detections are made once and kept in CACHE, then what
tracks of them were like: a run that is broken off goes on. What is learned is tried on clips that were left out, and
written into the table's place in a file of tables. Delete CACHE/watched after a change of the tracker, all of CACHE
after one of the detector or its weights.
"""

from __future__ import annotations

import argparse
import pickle
import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from functools import reduce
from itertools import islice
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.config import DetectorSettings, TrackerSettings
from irtrack.core import Detections, Floats, Frame, Image, IrtrackError
from irtrack.imaging.noise import noise
from irtrack.imaging.regions import Regions
from irtrack.simulate import Scene, scene_from_text
from irtrack.station.faint import local_deviation
from irtrack.track.belief import PARTS, Beliefs, shipped, text_of
from irtrack.track.learn import Samples, Watch, highest, learn
from irtrack.track.tracker import KalmanTracker

FRAMES = 160
"""Of each clip, at most."""

TABLE = "temporal"
"""Of the tables in `belief.toml`: for detections with their pictures and with what the temporal stage tells."""

FOLDS = 5

SEEN_PX = 4.5
"""How far from a simulated target's place a track is still on it."""

UNLABELLED: dict[str, tuple[tuple[int, int, int], ...]] = {
    "IR_BIRD_052": ((111, 154, 133),),
    "IR_DRONE_009": ((0, 140, 61), (44, 140, 69)),
    "IR_DRONE_039": ((118, 39, 91),),
    "IR_DRONE_053": ((0, 237, 89),),
    "IR_DRONE_054": ((0, 118, 89),),
    "IR_DRONE_070": ((130, 277, 6),),
    "IR_DRONE_079": ((42, 287, 106),),
    "IR_DRONE_086": ((32, 120, 17),),
    "IR_DRONE_095": ((0, 158, 91),),
}
"""Tracks of what flew in the clips and is not in their truth (birds, an aircraft far off), told by eye: by clip, the
frame in which each began and its place, in px. They are neither targets nor clutter."""


def scenes() -> Iterator[str]:
    """Simulated scenes of what clips lack: with targets and, as often, without. Words after a space: how they are
    compressed."""
    rng = np.random.default_rng(7)
    for k in range(12):
        seed = 1000 + 20 * k
        yield f"hovering,frames=200,seed={seed}"
        yield f"creeping,frames=250,seed={seed + 1},creep_px_s={rng.uniform(0.4, 2):.2f}"
        yield f"swinging,frames=150,seed={seed + 2},targets={6 * (k % 2)}"
        yield f"lamps,frames=200,seed={seed + 3},targets={5 * (k % 2)}"
        yield f"city,frames=200,seed={seed + 4},targets={7 * (k % 2)}"
        specks = rng.uniform(0.5, 4)
        yield f"clutter,frames=150,seed={seed + 5},specks={specks:.1f},targets={4 * (k % 2)},overlay={k % 3}"
        yield f"camera16,frames=150,seed={seed + 6},bad_pixels={rng.uniform(0, 1e-3):.5f},targets={3 * (k % 2)}"
        for kind, targets in (("clutter", 2), ("clutter", 0), ("sky", 2), ("sky", 0)):
            # Points of a pixel or two over woods and clouds, from a camera that follows them.
            seed += 1
            texture, still = rng.uniform(0.012, 0.04), rng.random() < 0.3
            values = {
                "frames": 120, "seed": seed + 7, "targets": targets, "width": 256, "scr": rng.uniform(2, 6),
                "texture": texture, "structure": rng.uniform(0.03, 0.12), "psf_sigma_px": rng.uniform(0.5, 0.9),
                "speed_px_s": rng.uniform(5, 60), "turn_rad_s": 0.1, "drift_px_s": 0 if still else rng.uniform(5, 60),
                "shake_px": 0 if still else rng.uniform(0, 0.5), "jerks_per_s": rng.choice([0, 0, 0.3]), "jerk_px": 32,
            }  # fmt: skip
            yield ",".join([kind, *(f"{key}={value:.4g}" for key, value in values.items())])
    yield from (f"crowd,frames=40,seed={2000 + k}" for k in range(3))
    for k in range(24):
        # A target that the camera holds, and then dirt and hot pixels, before a scene that moves past both.
        values = {
            "frames": 160, "seed": 3000 + k, "overlay": k % 3, "structure": rng.uniform(0.03, 0.12),
            "texture": rng.uniform(0.005, 0.03), "scr": rng.uniform(4, 14), "psf_sigma_px": rng.uniform(0.6, 2),
            "speed_px_s": rng.uniform(5, 60), "shake_px": rng.choice([0, 0.1, 0.3]),
            "jerks_per_s": rng.choice([0, 0, 0.2]), "jerk_px": 40,
        }  # fmt: skip
        own = {"held_px": rng.uniform(0.3, 4)} if k % 2 else {"targets": 0, "swing_px": 50, "bad_pixels": 2e-4}
        text = ",".join(["held", *(f"{key}={value:.4g}" for key, value in (values | {"held_px": 0} | own).items())])
        yield text + ("" if k % 4 < 2 else f" crf={rng.integers(18, 31)}")


@dataclass(frozen=True)
class Job:
    """One clip or scene. `source`: as `irtrack.open` takes it. `truth`: its file, None for a scene. `hung`: a seed for
    targets that are drawn into it."""

    source: str
    truth: Path | None
    hung: int | None = None

    @property
    def name(self) -> str:
        name = self.source.removeprefix("sim:") if self.truth is None else Path(self.source).stem
        return re.sub(r"[^\w.=-]+", "_", name) + ("" if self.hung is None else "-hung")

    def boxes(self) -> dict[int, Floats]:
        """Where tracks are on targets, by frame (N, 4: left, top, right, bottom)."""
        if self.truth is not None:
            from irtrack.commands.tune import read_boxes

            boxes = read_boxes(self.truth)
            for i, (_, places) in enumerate(self.with_targets()):
                boxes[i] = np.vstack([boxes.get(i, np.zeros((0, 4))), np.hstack([places - SEEN_PX, places + SEEN_PX])])
            return boxes
        scene = self.scene()
        places = {i: scene.truth(i).xy_px for i in range(scene.settings.frames)}
        return {i: np.hstack([xy - SEEN_PX, xy + SEEN_PX]) for i, xy in places.items()}

    def with_targets(self) -> Iterator[tuple[Frame, Floats]]:
        """Frames with the targets that are drawn into them, and their places (N, 2), if any are to be."""
        if self.hung is None or self.truth is None:
            return
        from irtrack.capture.open import open_source
        from irtrack.commands.tune import read_boxes

        boxes = read_boxes(self.truth)
        frames = list(islice(open_source(self.source), min(FRAMES, max(boxes) + 1)))
        hung = Hung(frames[0].image, frames[-1].image, np.vstack(list(boxes.values())), 30.0, self.hung)
        for frame in frames if hung.any else ():
            image, places = hung(frame.image)
            yield replace(frame, image=image), places

    def scene(self) -> Scene:
        """The scene, where it is one."""
        return Scene(scene_from_text(self.source.removeprefix("sim:").partition(" ")[0]))


def jobs(folders: Sequence[Path]) -> list[Job]:
    """All clips with truth in the folders, and all scenes."""
    truths = [truth for folder in folders for truth in sorted(folder.glob("*.gt.csv"))]
    clips = [Job(str(t).removesuffix(".gt.csv") + ".mp4", t) for t in truths]
    hung = [replace(clip, hung=k) for k, clip in enumerate(clips) if k % HUNG == 1]
    return clips + hung + [Job(f"sim:{text}", None) for text in scenes()]


HUNG = 4
"""Into one clip in so many targets are drawn that hang still over a skyline: clips have few of them."""


class Hung:
    """Two targets that hang in the plain sky close over what is below, drawn into frames (H, W) of a camera that stands
    still; none where there is no such place."""

    def __init__(self, first: Image, last: Image, boxes: Floats, fps: float, seed: int) -> None:
        self._rng = rng = np.random.default_rng(seed)
        (shift, _), (h, w) = cv2.phaseCorrelate(first.astype(np.float32), last.astype(np.float32)), first.shape
        there = (local_deviation(first, 5) < 2 * noise(first) + 0.5) & (local_deviation(first) > 12)
        there[:15], there[-15:], there[:, :15], there[:, -15:] = False, False, False, False
        for left, top, right, bottom in boxes.astype(int).tolist():
            there[max(top - 15, 0) : bottom + 15, max(left - 15, 0) : right + 15] = False
        y, x = np.nonzero(there)
        self.any = len(y) > 50 and np.hypot(*shift) < 0.5
        count = 2 if self.any else 0
        some = rng.integers(max(len(y), 1), size=count)
        self._xy = (
            np.column_stack([x[some], y[some]]) + rng.uniform(-0.5, 0.5, (count, 2)) if count else np.zeros((0, 2))
        )
        self._creep = rng.uniform(-1, 1, (count, 2)) * rng.choice([0, 1, 3], (count, 1)) / fps
        self._sway, self._swing = np.zeros((count, 2)), rng.uniform(0.02, 0.25, (count, 1))
        self._peak, self._sigma = np.exp(rng.uniform(np.log(6), np.log(60), count)), rng.uniform(0.6, 1.3, count)
        self._grid = np.mgrid[:h, :w].astype(np.float32)

    def __call__(self, image: Image) -> tuple[Image, Floats]:
        """The frame with them, and where they are (N, 2)."""
        self._sway = 0.9 * self._sway + self._swing * self._rng.standard_normal(self._sway.shape)
        self._xy = self._xy + self._creep
        places, out, (y, x) = self._xy + self._sway, image.astype(np.float32), self._grid
        for (u, v), peak, sigma in zip(places.tolist(), self._peak, self._sigma, strict=True):
            out += peak * self._rng.uniform(0.93, 1.07) * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * sigma**2))
        return np.clip(np.rint(out), 0, np.iinfo(image.dtype).max).astype(image.dtype), places


class Replay:
    """A detector that says again what it said."""

    def __init__(self, said: Sequence[Detections]) -> None:
        self._said = iter(said)
        self.threshold, self.min_area_px, self.regions = 0.0, 0, Regions()

    def __call__(self, image: Image) -> Detections:
        return next(self._said)


def frames_of(job: Job) -> Iterator[Frame]:
    """The frames that are looked at."""
    from irtrack.capture.open import open_source

    if job.hung is not None:
        yield from (frame for frame, _ in job.with_targets())
        return
    last = FRAMES if job.truth is None else min(FRAMES, max(job.boxes()) + 1)
    source, _, crf = job.source.partition(" crf=")
    with TemporaryDirectory() as folder:
        if crf:
            source = compressed(job.scene(), Path(folder) / "scene.mp4", crf)
        with closing(open_source(source)) as opened:
            for frame in opened:
                if frame.index >= last:
                    return
                yield frame


def compressed(scene: Scene, path: Path, crf: str) -> str:
    """The scene in H.264 of this rate factor."""
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=round(scene.settings.fps), options={"crf": crf})
        stream.width, stream.height, stream.pix_fmt = scene.settings.width, scene.settings.height, "yuv420p"
        for i in range(scene.settings.frames):
            grey = av.VideoFrame.from_ndarray(np.ascontiguousarray(scene.image(i)), format="gray")
            out.mux(stream.encode(grey.reformat(format="yuv420p")))
        out.mux(stream.encode())
    return str(path)


def detect(job: Job, cache: Path, weights: str) -> str:
    """Detections of a clip, kept in the cache."""
    out = cache / "detected" / f"{job.name}.pickle"
    if out.exists():
        return ""
    from irtrack.build import load_detector

    detector = load_detector(DetectorSettings(weights=weights, device="cpu", mode="exact", temporal=True))
    said = []
    for frame in frames_of(job):
        found = detector(frame.image)
        said.append(replace(found, mask=None, scores=None))
    keep(out, said)
    return f"{job.name}: {sum(map(len, said))} detections in {len(said)} frames"


class Noted(Watch):
    """Knows besides in which frame and where each track began, and leaves some out."""

    def __init__(self, unlabelled: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.began: dict[int, tuple[int, float, float]] = {}
        self._unlabelled, self._frame = unlabelled, 0

    def __call__(self, tracker: KalmanTracker, time_s: float, boxes: Floats) -> None:
        super().__call__(tracker, time_s, boxes)
        ids, xy, *_ = tracker.evidence()
        for i, (x, y) in zip(ids.tolist(), xy.tolist(), strict=True):
            self.began.setdefault(i, (self._frame, x, y))
        self._frame += 1

    def end(self) -> None:
        for i, (frame, x, y) in self.began.items():
            if any(frame == f and abs(x - u) < 3 and abs(y - v) < 3 for f, u, v in self._unlabelled):
                self._rows.pop(i, None)
        super().end()


def watch(job: Job, cache: Path) -> str:
    """What tracks of a clip were like, kept in the cache."""
    out = cache / "watched" / f"{job.name}.pickle"
    if out.exists():
        return ""
    from irtrack.pipeline import process

    said = pickle.loads((cache / "detected" / f"{job.name}.pickle").read_bytes())
    boxes, tracker, seen = job.boxes(), KalmanTracker(TrackerSettings()), Noted(UNLABELLED.get(job.name, ()))
    for result in process(frames_of(job), Replay(said), tracker):
        seen(tracker, result.frame.time_s, boxes.get(result.frame.index, np.zeros((0, 4))))
    seen.end()
    keep(out, (seen.samples(), seen.began))
    return f"{job.name}: {seen.last}"


def keep(path: Path, what: object) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(what))
    part.replace(path)


@dataclass(frozen=True)
class Score:
    """Tracks, and detections of them, that were ever believed, of all there were."""

    found: int
    targets: int
    found_rows: float
    target_rows: float
    false: int
    clutter: int
    false_rows: float

    def __add__(self, other: Score) -> Score:
        return Score(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        recall = 100 * self.found_rows / max(self.target_rows, 1)
        precision = 100 * self.found_rows / max(self.found_rows + self.false_rows, 1)
        return (
            f"{self.found} of {self.targets} tracks of targets believed ({recall:.1f} % of their detections), "
            f"{self.false} of {self.clutter} of clutter (precision {precision:.1f} %)"
        )


def score(beliefs: Beliefs, samples: Samples, caution: float) -> Score:
    """What a table makes of tracks."""
    limit, count = beliefs.threshold(caution), np.exp(samples.known[:, PARTS.index("detections")])

    def believed(kind: NDArray[np.bool_]) -> tuple[int, int, float, float]:
        """Tracks of a kind that are believed, and all, and the detections of both."""
        tracks, which = np.unique(samples.track[kind], return_inverse=True)
        rows, those = np.zeros(len(tracks)), highest(beliefs, samples, kind) >= limit
        np.maximum.at(rows, which, count[kind])
        return int(those.sum()), len(tracks), float(rows[those].sum()), float(rows.sum())

    return Score(*believed(samples.target), *believed(~samples.target)[:3])


def tried(parts: Sequence[Samples], before: Beliefs, penalty: float, caution: float) -> Score:
    """On each fifth of the clips, what the others teach."""
    folds = [[s for i, s in enumerate(parts) if i % FOLDS == k] for k in range(FOLDS)]
    scores = []
    for k, left_out in enumerate(folds):
        learned = learn(reduce(add, (s for i, fold in enumerate(folds) if i != k for s in fold)), before, penalty)
        scores.append(score(learned, reduce(add, left_out), caution))
    return reduce(add, scores)


def main() -> None:
    """Detect, watch, learn, try, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--clips", type=Path, action="append", default=[])
    parser.add_argument("--weights", default="datransnet-s")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="only each nth of the clips and scenes")
    parser.add_argument("--penalty", type=float, default=2e-3, help="how near to the table that is there")
    parser.add_argument("--caution", type=float, default=TrackerSettings().caution)
    parser.add_argument("--out", type=Path, help="a file of tables: the one of detections with the stage is replaced")
    args = parser.parse_args()
    todo = jobs(args.clips)[:: args.every]
    random.Random(0).shuffle(todo)  # what is there early is of all kinds
    with ProcessPoolExecutor(args.processes) as pool:
        for step, more in ((detect, (args.weights,)), (watch, ())):
            for line in pool.map(step, todo, *[[v] * len(todo) for v in (args.cache, *more)]):
                if line:
                    print(line, flush=True)
    parts = [pickle.loads((args.cache / "watched" / f"{job.name}.pickle").read_bytes())[0] for job in todo]
    samples, before = reduce(add, parts), shipped(TABLE)
    print(f"{len(parts)} clips and scenes, {60 * samples.hours:.1f} minutes, at caution {args.caution:g}:")
    print(f"as it was:            {score(before, samples, args.caution)}")
    print(f"learned, on others:   {tried(parts, before, args.penalty, args.caution)}")
    learned = learn(samples, before, args.penalty)
    print(f"learned, on the same: {score(learned, samples, args.caution)}")
    if args.out:
        put(args.out, text_of(learned, TABLE, ""))


def put(path: Path, table: str) -> None:
    """Put a table in the place of the one of its name, in a file of tables."""
    head, mark, rest = path.read_text(encoding="utf-8").partition(f"\n[{TABLE}]\n")  # comments name it, too
    if not mark:
        raise IrtrackError(f"{path} has no table [{TABLE}] to be replaced")
    others = re.search(rf"^\[(?!{TABLE}\b)", rest, re.M)
    after = "\n" + rest[others.start() :] if others else ""
    path.write_text(head + "\n" + table[table.index(f"[{TABLE}]\n") :] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
