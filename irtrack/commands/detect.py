"""`irtrack detect`: masks and measurements of single images."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from irtrack.commands.common import settings_from
from irtrack.core import Detections, IrtrackError, SinkError


def image_files(texts: list[str]) -> list[Path]:
    """Files that IMAGES names. Raises IrtrackError where one is missing or two would give one mask."""
    import glob

    from irtrack.capture.images import natural_key
    from irtrack.capture.open import IMAGE_SUFFIXES

    found: list[Path] = []
    for text in texts:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        else:
            inside = [path] if path.exists() else [Path(p) for p in glob.glob(str(path))]
        if not inside:
            raise IrtrackError(f"{text}: there is no image here")
        found += sorted(inside, key=natural_key)
    stems = [p.stem for p in found]
    doubled = next((s for s in stems if stems.count(s) > 1), None) if len(set(stems)) < len(stems) else None
    if doubled:
        raise IrtrackError(f"two images are called {doubled!r}: their masks would have one name; run them apart")
    return found


def detect(args: argparse.Namespace) -> int:
    """`irtrack detect`: masks and measurements of single images."""
    import cv2
    from tqdm import tqdm

    from irtrack.build import make_detector
    from irtrack.capture.images import read_image

    paths = image_files(args.images)
    if args.out.exists() and not args.out.is_dir():
        raise SinkError(f"{args.out} is a file: --out names a folder")
    if args.out.exists() and any(args.out.iterdir()) and not args.force:
        raise SinkError(f"the folder {args.out} holds files: choose another, or write into it with --force")
    if args.out.exists() and any(args.out.samefile(p.parent) for p in paths):
        raise SinkError(f"{args.out} holds the images themselves: masks would replace them; choose another folder")
    detector = make_detector(settings_from(args))
    count = 0
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / "detections.csv").open("w", newline="", encoding="utf-8") as f:
            f.write("image,x_px,y_px,w_px,h_px,area_px,score,snr\n")
            for path in tqdm(paths, unit="image", disable=None):
                detector.forget()
                detections = detector(read_image(path))
                count += len(detections)
                mask = detections.mask
                assert mask is not None
                code = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
                (args.out / f"{path.stem}.png").write_bytes(code.tobytes())
                csv.writer(f).writerows(detection_rows(path.name, detections))
                f.flush()
    except OSError as error:
        raise SinkError(f"cannot write to {args.out}: {error.strerror}; what was written is kept") from error
    print(f"done: {len(paths)} images, {count} detections\n  wrote {args.out}")
    return 0


def detection_rows(name: str, d: Detections) -> Iterator[list[str]]:
    """Rows of detections.csv."""
    for (x, y), (_, _, w, h), area, score, snr in zip(
        d.xy_px.tolist(), d.box_px.tolist(), d.area_px.tolist(), d.score.tolist(), d.snr.tolist(), strict=True
    ):
        yield [name, f"{x:.3f}", f"{y:.3f}", f"{w:.0f}", f"{h:.0f}", f"{area:.0f}", f"{score:.4f}", f"{snr:.2f}"]
