"""What is looked at where there is no time for all of it: counts and places, no clock."""

from __future__ import annotations

import numpy as np
import pytest

from irtrack.core import Floats, Tracks
from irtrack.detect.scan import (
    LEAST_PARTS,
    MARGIN_PX,
    TENTATIVE_TILES,
    Expected,
    Plan,
    Scan,
    cost_px,
    expected,
    looked_at,
    tiles_round,
)

HEIGHT, WIDTH = 512, 640


def tracks(x: Floats, confirmed: list[bool], fixed: list[bool] | None = None, spread_px: float = 0.7) -> Tracks:
    n = len(x)
    P = np.tile(np.diag([spread_px**2, spread_px**2, 4.0, 4.0]), (n, 1, 1))
    off = np.zeros(n, bool) if fixed is None else np.array(fixed)
    return Tracks(np.arange(n), np.array(confirmed), x, np.eye(2, 3), lambda i: pytest.fail("not asked for"), P, off)


def state(*places: tuple[float, float]) -> Floats:
    return np.array([(x, y, 0.0, 0.0) for x, y in places], float)


def shown(plan: Plan, xy: tuple[float, float]) -> bool:
    left, top, width, height = looked_at(plan, HEIGHT, WIDTH).T
    return bool(((left <= xy[0]) & (xy[0] < left + width) & (top <= xy[1]) & (xy[1] < top + height)).any())


@pytest.mark.parametrize("budget", [0.0, 2e4, 1e5, 2e5])
def test_each_place_comes_once_a_scan_and_followed_places_always(budget: float) -> None:
    rng = np.random.default_rng(3)
    places = [(float(x), float(y)) for x, y in rng.uniform(5, 500, (3, 2))]
    known = expected(tracks(state(*places), [True] * 3), 1 / 30)
    scan, seen, count = Scan(), np.zeros(HEIGHT, int), 0
    while scan.turn == 0:
        plan = scan.plan(HEIGHT, WIDTH, known, budget)
        assert all(shown(plan, xy) for xy in places)
        seen[plan.top : plan.bottom] += 1
        count += 1
        scan.advance(HEIGHT, plan)
    assert (seen == 1).all()
    assert 1 < count <= LEAST_PARTS


def test_time_enough_is_the_whole_frame() -> None:
    assert Scan().plan(HEIGHT, WIDTH, Expected(), HEIGHT * WIDTH) == Plan(0, HEIGHT)
    # Parts that would cost as much as the frame are not worth it.
    many = state(*((x, y) for x in range(20, 640, 60) for y in range(20, 512, 60)))
    plan = Scan().plan(HEIGHT, WIDTH, expected(tracks(many, [True] * len(many)), 1 / 30), 0.0)
    assert plan == Plan(0, HEIGHT)


def test_more_time_is_more_rows() -> None:
    budgets = [0.0, 1.4e5, 1.8e5, 2.5e5]
    plans = [Scan().plan(HEIGHT, WIDTH, Expected(), b) for b in budgets]
    rows = [p.bottom - p.top for p in plans]
    assert rows == sorted(rows)
    assert rows[0] == HEIGHT // LEAST_PARTS
    assert rows[-1] > rows[0]
    assert all(cost_px(p, HEIGHT, WIDTH) <= max(b, cost_px(plans[0], HEIGHT, WIDTH)) + 2 * MARGIN_PX * WIDTH
               for p, b in zip(plans, budgets, strict=True))  # fmt: skip


def test_the_confirmed_come_first_and_the_fixed_not_at_all() -> None:
    x = state(*((30.0 + 60 * i, 480.0) for i in range(10)))
    confirmed = [False] * 10
    confirmed[7] = True
    fixed = [False] * 10
    fixed[2] = True
    known = expected(tracks(x, confirmed, fixed), 1 / 30)
    assert known.sure == 1
    assert known.xy[0].tolist() == x[7, :2].tolist()
    assert len(known.xy) == 9
    assert x[2, 0] not in known.xy[:, 0]
    tiles, _ = tiles_round(known, HEIGHT, WIDTH)
    assert len(tiles) <= 1 + TENTATIVE_TILES


def test_tiles_grow_with_doubt_and_follow_the_motion() -> None:
    moving = state((100.0, 400.0))
    moving[0, 2:] = 120.0, -60.0
    soon, late = expected(tracks(moving, [True]), 1 / 30), expected(tracks(moving, [True]), 1 / 3)
    assert soon.xy[0] == pytest.approx([104.0, 398.0])
    assert late.xy[0] == pytest.approx([140.0, 380.0])
    assert tiles_round(late, HEIGHT, WIDTH)[1] > tiles_round(soon, HEIGHT, WIDTH)[1]
    # One that may be anywhere is left to the scan.
    assert tiles_round(expected(tracks(moving, [True]), 3.0), HEIGHT, WIDTH)[0] == ()
    # One that has left the picture needs no tile.
    assert tiles_round(expected(tracks(state((-90.0, 20.0)), [True]), 1 / 30), HEIGHT, WIDTH)[0] == ()


def test_a_set_number_of_bands_is_kept() -> None:
    scan = Scan(8)
    tops = []
    for _ in range(8):
        plan = scan.plan(HEIGHT, WIDTH, Expected(), 1e12)
        tops.append(plan.top)
        scan.advance(HEIGHT, plan)
    assert tops == list(range(0, HEIGHT, HEIGHT // 8))
    assert scan.turn == 1
