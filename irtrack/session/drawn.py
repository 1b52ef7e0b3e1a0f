"""The regions that were drawn on a source: added, reshaped, renamed, deleted, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from irtrack.config import Polygon, area
from irtrack.imaging.regions import area as pixels
from irtrack.session.edits import History

Corners = Sequence[tuple[float, float]]
Shape = tuple[int, int]


class Drawn:
    """Changes regions, each known by its kind and its number there; each change can be taken back. What holds nothing
    of the picture is not taken."""

    def __init__(self, history: History, shape: Callable[[], Shape | None] = lambda: None) -> None:
        """`shape`: height and width of the picture, where there is one."""
        self._history, self._regions, self._shape = history, history.regions, shape

    def of(self, kind: str) -> tuple[Polygon, ...]:
        """Those of a kind."""
        return self._regions.value.get(kind, ())

    def _put(self, changed: dict[str, Sequence[Polygon]]) -> None:
        self._history.draw(self._regions.value | {kind: tuple(some) for kind, some in changed.items()})

    def add(self, kind: str, corners: Corners) -> bool:
        """One more; whether there is anything in it."""
        outline = rounded(corners)
        there = holds(outline, self._shape())
        if there:
            self._put({kind: (*self.of(kind), outline)})
        return there

    def reshape(self, kind: str, number: int, corners: Corners) -> bool:
        """Other corners; what would hold nothing stays as it was. Whether it was taken."""
        outline, some, shape = rounded(corners), self.of(kind), self._shape()
        if number < len(some) and shape is not None:
            outline = kept_within(outline, some[number], shape)
        there = number < len(some) and holds(outline, shape)
        if there:
            self._put({kind: [outline if i == number else other for i, other in enumerate(some)]})
        return there

    def add_corner(self, kind: str, number: int, edge: int) -> None:
        """In the middle of an edge, known by the number of its first corner."""
        if number >= len(self.of(kind)):
            return
        outline = self.of(kind)[number]
        (a, b), (c, d) = outline[edge], outline[(edge + 1) % len(outline)]
        self.reshape(kind, number, (*outline[: edge + 1], ((a + c) / 2, (b + d) / 2), *outline[edge + 1 :]))

    def delete_corner(self, kind: str, number: int, corner: int) -> None:
        """One corner less."""
        if number >= len(self.of(kind)):
            return
        outline = self.of(kind)[number]
        self.reshape(kind, number, (*outline[:corner], *outline[corner + 1 :]))

    def delete(self, kind: str, number: int) -> None:
        """Take a region away."""
        self._put({kind: [outline for i, outline in enumerate(self.of(kind)) if i != number]})

    def rename(self, kind: str, number: int, to: str) -> None:
        """Have a region say something else."""
        some = self.of(kind)
        if number < len(some) and kind != to:
            left = [outline for i, outline in enumerate(some) if i != number]
            self._put({kind: left, to: (*self.of(to), some[number])})

    def clear(self) -> None:
        """None of this source."""
        self._history.draw({})


def holds(outline: Polygon, shape: Shape | None = None) -> bool:
    """Whether there is anything in it; `shape`: of a picture of that height and width."""
    return len(outline) >= 3 and area(outline) > 0 and (shape is None or bool(pixels([outline], shape).any()))


def kept_within(outline: Polygon, before: Polygon, shape: Shape) -> Polygon:
    """Where one corner alone was dragged off the picture, with that on its border; what is moved whole keeps its
    form."""
    moved = [i for i, (a, b) in enumerate(zip(outline, before, strict=False)) if a != b]
    if len(moved) != 1 or len(outline) != len(before):
        return outline
    (i,), (h, w) = moved, shape
    x, y = outline[i]
    at = min(max(x, -0.5), w - 0.5), min(max(y, -0.5), h - 0.5)
    return (*outline[:i], at, *outline[i + 1 :])


def rounded(corners: Corners) -> Polygon:
    """To a tenth of a pixel, as regions are kept."""
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)
