#!/usr/bin/env python3
"""Where a model is blind: the share of plain targets that it finds, by what is round them.

    tools/blind_spots.py FOLDER [FOLDER ...] [--weights NAME ...] [--every N]

Into pictures of data sets (FOLDER/images), at a place as even as any in them, a point is put that stands out, as it
is and in each of the contexts below: what falls off against `plain` is a blind spot, since a person sees all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.build import load_detector
from irtrack.config import DetectorSettings

Grey = NDArray[np.uint8]
Levels = NDArray[np.float32]
Context = Callable[[Levels, int, int], Levels]

SIDE, BORDER_PX, PLACES, EVEN_PX = 320, 50, 12, 9
LEAST_LEVELS, DEVIATIONS, SIGMA_PX, NEAR_PX = 30.0, 8.0, 1.2, 3


def drawn(draw: Callable[[Grey, int, int], None], level: int = 255) -> Context:
    """A context of strokes."""

    def context(picture: Levels, x: int, y: int) -> Levels:
        strokes = np.zeros(picture.shape, np.uint8)
        draw(strokes, x, y)
        return np.where(strokes > 0, np.float32(level), picture)

    return context


def cross(gap: int, arm: int, width: int, off: int = 0) -> Callable[[Grey, int, int], None]:
    """A reticle with an open middle, whose own middle lies `off` px aside."""

    def draw(strokes: Grey, x: int, y: int) -> None:
        x, y = x + off, y - off
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            end = gap + arm
            cv2.line(strokes, (x + dx * gap, y + dy * gap), (x + dx * end, y + dy * end), 255, width)

    return draw


def gate(strokes: Grey, x: int, y: int) -> None:
    """A rectangle."""
    cv2.rectangle(strokes, (x - 12, y - 12), (x + 12, y + 12), 255, 1)


def slanted(strokes: Grey, x: int, y: int) -> None:
    """A cross of diagonals."""
    for dx, dy in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        cv2.line(strokes, (x + 6 * dx, y + 6 * dy), (x + 30 * dx, y + 30 * dy), 255, 1)


def ring(strokes: Grey, x: int, y: int) -> None:
    """A circle."""
    cv2.circle(strokes, (x, y), 14, 255, 1)


def text(strokes: Grey, x: int, y: int) -> None:
    """Lines of text above or below."""
    for row in range(3):
        at = (4, (140 if y < 100 else 20) + 18 * row)
        cv2.putText(strokes, "AZ 123.4 EL +05.2 TRK", at, cv2.FONT_HERSHEY_PLAIN, 1.2, 255, 1)


def compressed(picture: Levels, quality: int) -> Levels:
    """As JPEG."""
    code = cv2.imencode(".jpg", eight_bits(picture), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    grey = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    return grey.astype(np.float32)


def sun(picture: Levels, x: int, y: int) -> Levels:
    """A large white disc elsewhere."""
    out = picture.copy()
    cv2.circle(out, ((x + 120) % out.shape[1], (y + 90) % out.shape[0]), 22, 255, -1)
    return out


def hot_ground(picture: Levels, x: int, y: int) -> Levels:
    """All below is brighter."""
    out = picture.copy()
    out[y + 25 :] += 90
    return out


def doubled(picture: Levels, x: int, y: int) -> Levels:
    """Half the resolution, shown at twice the size."""
    h, w = picture.shape
    half = cv2.resize(picture, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (w, h), interpolation=cv2.INTER_LINEAR)


CONTEXTS: dict[str, Context] = {
    "plain": lambda p, x, y: p,
    "dark target": lambda p, x, y: 255 - p,
    "a third of the contrast": lambda p, x, y: (p - p.mean()) * 0.35 + 100,
    "edges enhanced": lambda p, x, y: p + 1.5 * (p - cv2.GaussianBlur(p, (0, 0), 2.0)),
    "half the resolution": doubled,
    "JPEG, quality 40": lambda p, x, y: compressed(p, 40),
    "sun beside it": sun,
    "hot ground below": hot_ground,
    "text": drawn(text),
    "reticle": drawn(cross(10, 28, 1)),
    "reticle, thick, 5 px off": drawn(cross(10, 40, 2, 5)),
    "reticle, grey": drawn(cross(8, 25, 1), 150),
    "reticle, small": drawn(cross(5, 6, 1)),
    "reticle, blurred": lambda p, x, y: cv2.GaussianBlur(drawn(cross(10, 28, 1))(p, x, y), (0, 0), 0.7),
    "reticle, JPEG, quality 70": lambda p, x, y: compressed(drawn(cross(10, 28, 1))(p, x, y), 70),
    "gate": drawn(gate),
    "circle": drawn(ring),
    "slanted cross": drawn(slanted),
}


def eight_bits(picture: Levels) -> Grey:
    """As a camera gives it."""
    return np.clip(picture, 0, 255).round().astype(np.uint8)


def with_target(picture: Grey, seed: int) -> tuple[Levels, int, int]:
    """The picture with a point in it, and where: the most even of some places."""
    rng = np.random.default_rng(seed)
    h, w = picture.shape
    places = rng.integers(BORDER_PX, [w - BORDER_PX, h - BORDER_PX], (PLACES, 2)).tolist()
    patches = [picture[y - EVEN_PX : y + EVEN_PX + 1, x - EVEN_PX : x + EVEN_PX + 1] for x, y in places]
    k = int(np.argmin([patch.std() for patch in patches]))
    x, y = places[k]
    yy, xx = np.mgrid[:h, :w]
    shape = np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * SIGMA_PX**2))
    levels = max(LEAST_LEVELS, DEVIATIONS * float(patches[k].std()))
    return eight_bits(picture + levels * shape).astype(np.float32), x, y


def main() -> None:
    """One row a context, one column a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--weights", nargs="+", default=["datransnet-s"])
    parser.add_argument("--every", type=int, default=20, help="only each nth picture")
    args = parser.parse_args()
    files = [f for folder in args.folders for f in sorted((folder / "images").iterdir())[:: args.every]]
    pictures = [
        picture[:SIDE, :SIDE] for f in files if (picture := cv2.imread(str(f), cv2.IMREAD_GRAYSCALE)) is not None
    ]
    pictures = [picture for picture in pictures if min(picture.shape) >= 4 * BORDER_PX]
    made = [with_target(picture, seed) for seed, picture in enumerate(pictures)]
    print(f"{len(made)} pictures; found of the targets, %:")
    print(f"| | {' | '.join(args.weights)} |\n| --- |{' --- |' * len(args.weights)}")
    detectors = [load_detector(DetectorSettings(weights=w, device="cpu", temporal=False)) for w in args.weights]
    for name, context in CONTEXTS.items():
        cells = []
        for detector in detectors:
            found = 0
            for picture, x, y in made:
                scores = detector.scores(eight_bits(context(picture, x, y)))
                near = scores[y - NEAR_PX : y + NEAR_PX + 1, x - NEAR_PX : x + NEAR_PX + 1]
                found += bool(near.max() > detector.threshold)
            cells.append(f"{100 * found / len(made):.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
