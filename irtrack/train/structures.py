"""What stands before the sky, drawn into crops: lattice towers, masts, wires, scaffolds, walls, towns, woods.

Labelled sets have few targets before such things, and a network trained on them alone gives up a bright drone as soon
as a tower is behind it. A structure is drawn behind the targets that are there; what of it is bright is no target.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.train.backgrounds import texture
from irtrack.train.data import Grey, Mask, Rng

CONTRAST_LEVELS = (12.0, 90.0)
"""How much warmer or colder than what is behind it a structure is, in grey levels of 255."""

FINE = 4
"""Bits of a pixel in which OpenCV is told where lines end, so that they are not all on whole pixels."""

Drawing = NDArray[np.uint8]


def line(drawn: Drawing, start: Floats, end: Floats, wide: int, level: int = 255) -> None:
    """A smooth line between two places (x, y)."""
    a, b = (tuple(int(v) for v in np.round(at * (1 << FINE))) for at in (start, end))
    cv2.line(drawn, a, b, level, wide, cv2.LINE_AA, FINE)


def between(one: Floats, other: Floats, share: float) -> Floats:
    """The place so far from one to the other."""
    return np.asarray(one + (other - one) * share)


def tower(side: int, rng: Rng) -> Drawing:
    """Two legs that come together, storeys with braces between, a ladder or cables, hot boxes and antennas."""
    drawn = np.zeros((side, side), np.uint8)
    foot = np.array([rng.uniform(0, side), rng.uniform(0.6, 1.3) * side])
    tall, wide = rng.uniform(0.4, 1.4) * side, rng.uniform(8, 60)
    up = np.array([rng.uniform(-0.06, 0.06), -1.0]) * tall
    narrow = rng.uniform(0.1, 0.9)
    legs = int(rng.integers(1, 4))

    def leg(which: int, share: float) -> Floats:
        across = (which - 0.5) * wide * (1 - (1 - narrow) * share)
        return np.asarray(foot + up * share + np.array([across, 0.0]))

    storeys = max(2, round(tall / (wide * rng.uniform(0.4, 1.2))))
    for which in (0, 1):
        line(drawn, leg(which, 0), leg(which, 1), legs)
    crossed = rng.random() < 0.7
    for k in range(storeys):
        low, high = k / storeys, (k + 1) / storeys
        line(drawn, leg(0, high), leg(1, high), int(rng.integers(1, legs + 1)))
        line(drawn, leg(k % 2, low), leg(1 - k % 2, high), 1)
        if crossed:
            line(drawn, leg(1 - k % 2, low), leg(k % 2, high), 1)
    for _ in range(int(rng.integers(0, 4))):  # cables and ladders
        at = rng.uniform(0, 1)
        line(
            drawn, between(leg(0, 0), leg(1, 0), at), between(leg(0, 1), leg(1, 1), at), 1, int(rng.integers(120, 256))
        )
    hang_antennas(drawn, foot, up, wide, rng)
    return drawn


def hang_antennas(drawn: Drawing, foot: Floats, up: Floats, wide: float, rng: Rng) -> None:
    """Boxes and bars beside and on what stands."""
    for _ in range(int(rng.integers(0, 5))):
        at = foot + up * rng.uniform(0.3, 1) + np.array([rng.uniform(-0.7, 0.7) * wide, 0])
        half = np.array([rng.uniform(0.5, 3), rng.uniform(2, 14)])
        low, high = (tuple(int(v) for v in np.round(at + s * half)) for s in (-1, 1))
        cv2.rectangle(drawn, low, high, 255, -1)


def mast(side: int, rng: Rng) -> Drawing:
    """A pole with arms and guys."""
    drawn = np.zeros((side, side), np.uint8)
    foot = np.array([rng.uniform(0, side), rng.uniform(0.5, 1.2) * side])
    up = np.array([rng.uniform(-0.05, 0.05), -1.0]) * rng.uniform(0.2, 1.0) * side
    line(drawn, foot, foot + up, int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(0, 4))):
        at, arm = foot + up * rng.uniform(0.5, 1), rng.uniform(4, 30)
        ends = at + np.array([[-arm * rng.uniform(0, 1), 0], [arm, rng.uniform(-3, 3)]])
        line(drawn, ends[0], ends[1], int(rng.integers(1, 4)))
    for way in (-1, 1):
        if rng.random() < 0.4:
            line(drawn, foot + up * rng.uniform(0.6, 1), foot + np.array([way * rng.uniform(20, 120), 0]), 1)
    hang_antennas(drawn, foot, up, 8.0, rng)
    return drawn


def wires(side: int, rng: Rng) -> Drawing:
    """Power lines that hang through, side by side."""
    drawn = np.zeros((side, side), np.uint8)
    x = np.linspace(-0.1, 1.1, 25) * side
    left, right, sag = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0, 0.3) * side
    apart = rng.uniform(3, 30)
    for k in range(int(rng.integers(1, 7))):
        y = left + (right - left) * x / side + sag * (1 - (2 * x / side - 1) ** 2) + k * apart
        points = np.round(np.column_stack([x, y]) * (1 << FINE)).astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, FINE)
    return drawn


def scaffold(side: int, rng: Rng) -> Drawing:
    """A part of the picture behind bars: scaffolds, fences, cranes' arms, stands."""
    drawn = np.zeros((side, side), np.uint8)
    across, along = rng.uniform(4, 30, 2)
    angle = rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else 0.0
    one, other = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    corner, columns, rows = rng.uniform(-0.2, 0.7, 2) * side, int(rng.integers(2, 14)), int(rng.integers(1, 10))
    wide = int(rng.integers(1, 4))
    for k in range(columns + 1):
        line(drawn, corner + one * across * k, corner + one * across * k + other * along * rows, wide)
    for k in range(rows + 1):
        line(drawn, corner + other * along * k, corner + other * along * k + one * across * columns, wide)
    return drawn


def windows(side: int, rng: Rng) -> Drawing:
    """A wall with rows of windows, some of them lit."""
    drawn = np.zeros((side, side), np.uint8)
    left, top = (int(v) for v in rng.uniform(-0.2, 0.7, 2) * side)
    wide, tall = (int(v) for v in rng.integers(3, 12, 2))
    apart, storey = wide + int(rng.integers(3, 14)), tall + int(rng.integers(3, 14))
    columns, rows = int(rng.integers(3, 12)), int(rng.integers(2, 10))
    cv2.rectangle(drawn, (left - 4, top - 4), (left + columns * apart, top + rows * storey), 110, -1)
    for k in range(columns * rows):
        x, y = left + k % columns * apart, top + k // columns * storey
        cv2.rectangle(drawn, (x, y), (x + wide, y + tall), int(rng.choice([40, 180, 255], p=[0.6, 0.3, 0.1])), -1)
    return drawn


def town(side: int, rng: Rng) -> Drawing:
    """Houses one before the other: windows in rows, some lit, boxes on walls and roofs, lamps along a street."""
    drawn = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        left, top = int(rng.uniform(-0.2, 0.9) * side), int(rng.uniform(0.15, 0.85) * side)
        wide, wall = int(rng.uniform(0.1, 0.7) * side), int(rng.integers(80, 170))
        cv2.rectangle(drawn, (left, top), (left + wide, side), wall, -1)
        if rng.random() < 0.5:  # a roof of its own level
            roof = int(rng.integers(2, 12))
            cv2.rectangle(drawn, (left, top), (left + wide, top + roof), int(rng.integers(60, 220)), -1)
        pane, tall = (int(v) for v in rng.integers(2, 9, 2))
        apart, storey = pane + int(rng.integers(4, 20)), tall + int(rng.integers(4, 20))
        lit = rng.uniform(0.02, 0.4)
        for x in range(left + 4, left + wide - pane - 3, apart):
            for y in range(top + 8, side, storey):
                level = int(rng.integers(190, 256)) if rng.random() < lit else wall - int(rng.integers(0, 60))
                cv2.rectangle(drawn, (x, y), (x + pane, y + tall), level, -1)
        for _ in range(int(rng.integers(0, 12))):  # vents, cold or hot, on walls and along the roof
            x = int(rng.integers(left, left + wide + 1))
            y = top + int(rng.integers(-3, side - top) * rng.random() ** 2)
            w, h = (int(v) for v in rng.integers(1, 7, 2))
            cv2.rectangle(drawn, (x, y), (x + w, y + h), int(rng.choice([30, 230, 255])), -1)
    before = drawn > 0  # a lamp without a house behind it looks like any target
    start, step = rng.uniform(0, side, 2), rng.uniform(-40, 40, 2) * np.array([1.0, 0.3])
    for k in range(int(rng.integers(0, 8))):
        x, y = (int(v) for v in start + step * k)
        if 0 <= x < side and 0 <= y < side and before[y, x]:
            cv2.line(drawn, (x, y), (x, y + int(rng.integers(6, 30))), int(rng.integers(60, 180)), 1)
            cv2.circle(drawn, (x, y), int(rng.integers(1, 4)), 255, -1)
    return drawn


def woods(side: int, rng: Rng) -> Drawing:
    """Crowns of trees or a ridge under the sky, rough at their edge and in themselves."""
    edge = texture(side, 1.6, 2.4, rng)[0]
    height = side * rng.uniform(0.2, 1.0) + rng.uniform(5, 40) * edge
    crowns = texture(side, 0.3, 1.3, rng)
    rough = np.arange(side)[:, None] + rng.uniform(1, 8) * crowns > height
    level = 190 + rng.uniform(5, 35) * crowns
    return np.where(rough, np.clip(level, 60, 255), 0).astype(np.uint8)


KINDS = (tower, tower, mast, wires, scaffold, windows, town, town, woods)
"""What is drawn, towers and towns twice as often as each other."""


def outline(shape: Mask) -> Mask:
    """Where targets before a structure are told from it: about its thin parts, and along the edge of broad ones."""
    whole = cv2.morphologyEx(shape.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    inner = cv2.erode(whole, np.ones((9, 9), np.uint8))
    return shape & (inner == 0)


def add_structure(image: Grey, mask: Mask, rng: Rng) -> tuple[Grey, Mask]:
    """A structure behind the targets of a crop (size, size) of 0 to 255; returns it and the structure's outline."""
    size = image.shape[0]
    shape = KINDS[int(rng.integers(len(KINDS)))](size, rng)
    shape = cv2.GaussianBlur(shape.astype(np.float32) / 255, (0, 0), float(rng.uniform(0.4, 1.2)))
    targets = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(np.float32)
    shape *= 1 - cv2.GaussianBlur(targets, (0, 0), 1.0)
    levels = np.exp(rng.uniform(*np.log(CONTRAST_LEVELS)))
    if rng.random() < 0.25:
        levels = -levels
    return np.clip(image + levels * shape, 0, 255).astype(np.float32), outline(shape > 0.3)
