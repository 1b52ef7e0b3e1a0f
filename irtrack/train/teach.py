"""`irtrack teach`: from what an operator said of a recording's tracks, weights that know it better.

Verdicts and targets added by hand become a labelled set; a model is trained on from where it stands, held to its own
scores by distillation so that it forgets nothing else; before and after are compared on the last part of the recording,
of which it saw nothing, and on rendered scenes (`retained.py`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from irtrack.capture import open_source
from irtrack.capture.corrected import corrected
from irtrack.core import Floats, FrameResult, Image, IrtrackError, Remarks, SinkError, Track
from irtrack.detect.detector import pick_device, pick_weights
from irtrack.detect.inference import prepare
from irtrack.detect.weights import load_weights
from irtrack.session.edits import Edits
from irtrack.session.export import write_png
from irtrack.session.reading import Kept, read_session
from irtrack.train.boxes import OPEN_PX, from_boxes, window_of
from irtrack.train.commands import train
from irtrack.train.data import Mask, Sample, load_dataset
from irtrack.train.evaluation import evaluate
from irtrack.train.retained import compare, said, shipped

MOST_FRAMES = 300
"""So many frames at most, evenly over those that something was said of."""

PARTS = {"train": 0.65, "choose": 0.15, "held": 0.2}
"""Shares of these frames, in their order: to learn from, to choose among checkpoints by, and to compare on."""

LEAST_PX, MARGIN_PX = 7.0, 2.0
"""Side of a target's box at least, and what it is wider than its detection on each side."""

ROUND_PX = 3.0
"""Detections so near to a track are that track's."""

FIGURES = ("Pd", "false_objects_per_image", "IoU")


@dataclass(frozen=True)
class Said:
    """Boxes (N, 4) of a frame: of targets, of what is none, and of what nobody judged."""

    targets: Floats
    false: Floats
    unknown: Floats


def box_of(track: Track) -> list[float]:
    """Left, top, width and height, where a pixel is as wide as in an array's slices."""
    w, h = (max((size if size == size else 0.0) + 2 * MARGIN_PX, LEAST_PX) for size in track.size_px)
    x, y = track.xy_px.tolist()
    return [x + 0.5 - w / 2, y + 0.5 - h / 2, w, h]


def said_of(result: FrameResult, edits: Edits) -> Said:
    """What the operator said of a frame's tracks (as edited) and detections. What was not seen in this frame, and what
    nobody judged, is unknown."""
    boxes: dict[str, list[list[float]]] = {"targets": [], "false": [], "unknown": []}
    by_hand = edits.by_hand
    judged: list[Floats] = []
    for track in result.tracks:
        if not track.confirmed:
            continue
        verdict = edits.verdicts.get(track.id, "true" if track.id in by_hand else "")
        kind = "false" if verdict == "false" else "targets" if verdict and track.detection is not None else "unknown"
        boxes[kind].append(box_of(track))
        judged.append(track.xy_px)
    d, near = result.detections, np.array(judged).reshape(-1, 2)
    for xy, box in zip(d.xy_px, d.box_px.tolist(), strict=True):
        if not len(near) or np.hypot(*(near - xy).T).min() > ROUND_PX:
            boxes["unknown"].append([box[0] + 0.5, box[1] + 0.5, box[2], box[3]])
    return Said(**{name: np.array(some).reshape(-1, 4) for name, some in boxes.items()})


def labelled(name: str, image: Image, said: Said) -> Sample:
    """A frame with its mask; what is unknown is left open, what was judged false is background."""
    levels = Sample(name, image, np.zeros(image.shape, bool)).levels
    mask, ignore = from_boxes(levels, said.targets, said.unknown)
    false: Mask = np.zeros(image.shape, bool)
    for box in said.false:
        false[window_of(box, image.shape, OPEN_PX)] = True
    for box in said.targets:  # a target beside it is no background
        false[window_of(box, image.shape, OPEN_PX)] = False
    return Sample(name, image, mask, ignore & ~false & ~mask)


def samples_of(kept: Kept) -> Iterator[Sample]:
    """Frames of a session's recording that something was said of, in their order. Raises IrtrackError."""
    if kept.recording is None:
        raise IrtrackError(f"{kept.path.name} holds tracks of a camera, without its pictures: nothing to learn from")
    edits, lives = kept.edits, kept.edits.lives(kept.store.lives())
    known = edits.verdicts.keys() | edits.by_hand
    judged = [life for track, life in lives.items() if track in known]
    if not judged:
        raise IrtrackError(
            f"nothing is said of the tracks in {kept.path.name}: say in the window what they are (Alt+1 to 6), or add "
            "targets that were missed (A)"
        )
    frames = sorted({frame for first, last in judged for frame in range(first, last + 1) if frame in kept.store})
    chosen = {frames[i] for i in np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).astype(int)}
    source = corrected(open_source(kept.recording.found(kept.path)), kept.settings.capture)
    try:
        for frame in source:
            if frame.index in chosen:
                said = said_of(edits.apply(kept.store.get(frame)), edits)
                if len(said.targets) or len(said.false):
                    yield labelled(f"{frame.index:06d}", frame.image, said)
    finally:
        source.close()


def write_set(kept: Kept, folder: Path) -> dict[str, int]:
    """A labelled set in a folder for each of PARTS; how many images each has. Raises IrtrackError."""
    samples = list(samples_of(kept))
    ends = np.round(np.cumsum([0.0, *PARTS.values()]) * len(samples)).astype(int)
    parts = {part: samples[a:b] for part, a, b in zip(PARTS, ends[:-1], ends[1:], strict=True)}
    for place, some in zip(("first", "middle", "last"), parts.values(), strict=True):
        if not any(s.mask.any() for s in some):
            raise IrtrackError(
                f"{kept.path.name}: no target that stands out was judged in the {place} part of the recording: judge "
                "or add more of them"
            )
    for part, some in parts.items():
        for kind in ("images", "masks", "ignore"):
            try:
                (folder / part / kind).mkdir(parents=True)
            except OSError as error:
                raise SinkError(f"cannot make {folder / part / kind}: {error.strerror}") from error
        for s in some:
            assert s.ignore is not None
            write_png(folder / part / "images" / f"{s.name}.png", s.image)
            write_png(folder / part / "masks" / f"{s.name}.png", s.mask.astype(np.uint8) * 255)
            write_png(folder / part / "ignore" / f"{s.name}.png", s.ignore.astype(np.uint8) * 255)
    return {part: len(some) for part, some in parts.items()}


def teach(args: argparse.Namespace, remarks: Remarks) -> int:
    """Make the set, train, compare. Raises IrtrackError."""
    kept = read_session(args.session)
    remarks.take(kept.store.remarks)
    device = pick_device(args.device)
    detector = kept.chosen.detector  # as they were chosen in the window
    before = pick_weights(args.weights or detector.weights, device)
    counts = write_set(kept, args.out / "set")
    print(f"labelled {counts['train']} frames to learn from, and {counts['held']} later ones to compare on", flush=True)
    steps = args.steps
    settings = {"steps": steps, "rate": 2e-4, "batch": 4, "warmup": min(20, steps), "distil": 0.5, "ema": 0.98,
                "validate_every": max(steps // 4, 1), "panels": 0}  # fmt: skip
    train(
        argparse.Namespace(
            recipe=None, data=[str(args.out / "set" / "train")], negatives=[], val=[str(args.out / "set" / "choose")],
            root=Path(), set=[f"{k}={v}" for k, v in settings.items()] + args.set, init=before, teacher=before,
            device=args.device, threads=args.threads, workers=0, out=args.out,
        ),
        remarks,
    )  # fmt: skip
    after = str(args.out / "best.pt")
    samples = load_dataset(args.out / "set" / "held")
    threshold = detector.threshold
    networks = {name: prepare(load_weights(w).network, device) for name, w in (("before", before), ("after", after))}
    table = {name: evaluate(network, samples, threshold, str(device))[0] for name, network in networks.items()}
    print(f"on {len(samples)} frames that it did not see:")
    for figure in FIGURES:
        print(f"  {figure:26} {before}: {table['before'][figure]:.2f}   learnt: {table['after'][figure]:.2f}")
    retained, known = compare(networks["before"], networks["after"], threshold, str(device)), shipped(before)
    print("\n".join(said(retained, known, before)))
    body = {
        "session": str(args.session), "weights": before, "frames": len(samples), **table,
        "rendered": asdict(retained), "shipped": known,
    }  # fmt: skip
    (args.out / "compared.json").write_text(json.dumps(body, indent=1), encoding="utf-8")
    print(f"  wrote {after}\nto use it: --weights {after}, or in the window as the model From a file; else delete it")
    return 0
