"""`irtrack detect`: masks and measurements of single images."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from irtrack.commands.common import conclude, read_by, settings_from
from irtrack.core import Detections, Image, IrtrackError, Remarks, SinkError, SourceError
from irtrack.paths import replacing

if TYPE_CHECKING:
    from irtrack.detect.detector import NetworkDetector


def named_images(texts: list[str]) -> list[Path]:
    """Files that IMAGES names. Raises IrtrackError where one is missing or two would give one mask."""
    from irtrack.capture.images import image_files
    from irtrack.capture.kinds import RECORDINGS
    from irtrack.capture.open import matching
    from irtrack.paths import is_dropping
    from irtrack.sequences import in_order

    found: list[Path] = []
    for text in texts:
        path = Path(os.path.expanduser(text))
        if path.is_dir():
            inside = image_files(path)
        elif path.exists():
            inside = [] if is_dropping(path) and len(texts) > 1 else [path]
        else:
            inside = in_order(matching(path))
        if path.suffix.lower() in RECORDINGS and path.is_file():
            raise IrtrackError(f"{text} is a recording, and detect takes single images: use irtrack run")
        if not inside and not is_dropping(path):
            raise IrtrackError(f"{text}: there is no image here")
        found += inside
    doubled = [stem for stem, count in Counter(p.stem for p in found).items() if count > 1]
    if doubled:
        raise IrtrackError(f"two images are called {doubled[0]!r}: their masks would have one name; run them apart")
    return found


def pictures_of(path: Path, remarks: Remarks) -> Iterator[tuple[str, Image]]:
    """Name and counts of each picture in a file; pages of one that has several are numbered. Raises SourceError."""
    from irtrack.capture.grey import IN_COLOURS
    from irtrack.capture.pictures import open_pages

    pages = open_pages(path, remarks)
    try:
        for i in range(pages.count):
            yield path.name if pages.count == 1 else f"{path.stem}_{i:04d}{path.suffix}", pages.picture(i)
        if pages.coloured:
            remarks.add(IN_COLOURS)
        if pages.shortfall:
            raise SourceError(f"{path} is cut short or damaged ({pages.shortfall}): {pages.count} pictures were used")
    finally:
        pages.close()


def detect(args: argparse.Namespace) -> int:
    """`irtrack detect`: masks and measurements of single images."""
    from tqdm import tqdm

    from irtrack.build import make_detector
    from irtrack.sinks.target import claimed_all, made_folder

    paths = named_images(args.images)
    if args.out.exists() and not args.out.is_dir():
        raise SinkError(f"{args.out} is a file: --out names a folder")
    if args.out.exists() and any(args.out.iterdir()) and not args.force:
        raise SinkError(f"the folder {args.out} holds files: choose another, or write into it with --force")
    if args.out.exists() and any(args.out.samefile(p.parent) for p in paths):
        raise SinkError(f"{args.out} holds the images themselves: masks would replace them; choose another folder")
    settings = settings_from(args)
    single = replace(settings.detector, temporal=False)  # a first frame, which each image is, has nothing to show of it
    remarks, images, found, failed = Remarks(), 0, 0, 0
    with made_folder(args.out), claimed_all([args.out / "detections.csv"], args.force, read_by(args)) as (table,):
        detector = make_detector(replace(settings, detector=single))
        try:
            # Names that are no UTF-8 are written as the bytes that they are.
            with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as f:
                f.write("image,x_px,y_px,w_px,h_px,area_px,score,snr\n")
                for path in tqdm(paths, unit="image", disable=None):
                    try:
                        for name, image in pictures_of(path, remarks):
                            found += write_one(args.out, f, name, detector, image)
                            images += 1
                    except SourceError as error:  # one damaged image does not cost the others
                        failed += 1
                        print(f"irtrack: {' '.join(str(error).split())}", file=sys.stderr)
        except OSError as error:
            raise SinkError(f"cannot write to {args.out}: {error.strerror}; what was written is kept") from error
    print(f"done: {images} images, {found} detections\n  wrote {args.out}")
    code = conclude(remarks, args.strict)
    if failed and not images:
        raise SourceError(f"none of {len(paths)} files could be read: there are no masks")
    if failed:
        raise SourceError(f"{failed} of {len(paths)} files could not be read whole; masks of the others were written")
    return code


def write_one(out: Path, table: TextIO, name: str, detector: NetworkDetector, image: Image) -> int:
    """Mask and rows of one picture; returns how many detections there are."""
    import cv2

    detector.forget()
    detections = detector(image)
    mask = detections.mask
    assert mask is not None
    code = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
    with replacing(out / f"{Path(name).stem}.png") as part:  # a disk that is full leaves no half a mask
        part.write_bytes(code.tobytes())
    csv.writer(table).writerows(detection_rows(name, detections))
    table.flush()
    return len(detections)


def detection_rows(name: str, d: Detections) -> Iterator[list[str]]:
    """Rows of detections.csv."""
    for (x, y), (_, _, w, h), area, score, snr in zip(
        d.xy_px.tolist(), d.box_px.tolist(), d.area_px.tolist(), d.score.tolist(), d.snr.tolist(), strict=True
    ):
        yield [name, f"{x:.3f}", f"{y:.3f}", f"{w:.0f}", f"{h:.0f}", f"{area:.0f}", f"{score:.4f}", f"{snr:.2f}"]
