"""What pictures that follow each other tell of a recording, and its header does not: two moments in one picture, two
views in turn, dark and bright that change places, pictures that are there again, and pictures of nothing."""

from __future__ import annotations

import numpy as np

from irtrack.core import Floats, Image, Remarks

EVERY_COLUMN = 4
"""Of the pictures' columns so many-th tell enough."""

MOVES, STILL = 0.1, 0.25
"""Something moves where rows of two pictures differ by so much more than those of one. Of the two ways to mix the rows
of two pictures, one is then as good as no mixing, up to such a share of the other: rows of two moments."""

FEWEST = 12
"""So many pairs of pictures must show it."""

NEARER = 0.5
"""Up to such a share of how far it is from the one before, a picture is nearer to the one before that: two views take
turns. In one view the two are as far, or the later one is nearer."""

AGAIN = 0.25
"""Share of pictures that are there again from which on it is said; still pictures all are."""


EVERY_ROW, INVERTED = 2, -0.8
"""Up to such a correlation with the one before in every so many-th row, a picture is its negative, where the one before
was as alike to the one before that."""

FEW = 4
"""Of fewer pictures, nothing is said of those without contents."""


class Watched:
    """Looks at grey pictures in turn, and remarks what they tell."""

    def __init__(self, name: str, remarks: Remarks) -> None:
        self._name, self._remarks = name, remarks
        self._number, self._before = -2, np.zeros((0, 0), np.uint8)
        self._earlier: Image | None = None
        """The one before the one before."""
        self._turns: int | None = 0
        """Pictures in turn that were nearer to the one before the one before; None once one was not, or it was said."""
        self._like = 0.0
        """Correlation of the two pictures before."""
        self._pairs = self._again = self._seen = self._blank = 0
        self._inverted = self._ended = False
        self._combs: list[Floats] | None = []
        """Of pairs of pictures in which something moves; None once it is known."""

    def __call__(self, number: int, picture: Image) -> None:
        """The next picture; one that does not follow the one before begins anew."""
        part = picture[:, ::EVERY_COLUMN]
        self._seen += 1
        self._blank += bool(part.size and part[0, 0] == part[-1, -1] and (part == part[0, 0]).all())
        if number == self._number + 1 and part.shape == self._before.shape:
            self._pairs += 1
            if np.array_equal(part, self._before):
                self._again += 1
            elif self._combs is not None and len(part) > 3:
                self._look(self._before.astype(np.float32), part.astype(np.float32))
            like, self._like = self._like, likeness(self._before[::EVERY_ROW], part[::EVERY_ROW])
            if self._like < INVERTED < -INVERTED < like and not self._inverted:
                self._inverted = True
                self._remarks.add(
                    f"{self._name}: dark and bright change places (first at picture {number}), as where somebody goes "
                    "from white hot to black hot: tracks may end there"
                )
            if self._turns is not None and self._earlier is not None:
                self._compare(part, self._before, self._earlier)
            self._earlier = self._before if self._turns is not None else None
        else:
            self._earlier, self._like = None, 0.0
        self._number, self._before = number, part

    def _compare(self, part: Image, before: Image, earlier: Image) -> None:
        """A picture with the two before it."""
        assert self._turns is not None
        self._turns += 1
        if not apart(part, earlier) < NEARER * apart(part, before):
            self._turns = None
        elif self._turns == FEWEST:
            self._turns = None
            self._remarks.add(
                f"{self._name}: every other picture is of another view or brightness, as where those of two cameras "
                "take turns: if so, give each camera's as a recording of its own"
            )

    def _look(self, first: Floats, second: Floats) -> None:
        """At rows of two pictures: as they are, and mixed in both ways. Where all rows of a picture are of one moment,
        both ways are as bad; where every other row is half a picture later, one way is as good as none."""
        assert self._combs is not None
        own = comb(first[::2], first[1::2])
        mixed = np.array([comb(second[::2], first[1::2]), comb(first[::2], second[1::2])]) - own
        if mixed.max() > MOVES * own > 0:
            self._combs.append(mixed)
        if len(self._combs) < FEWEST:
            return
        first_way, second_way = np.sum(self._combs, 0)
        later = np.argmax(self._combs, 1)
        if min(first_way, second_way) < STILL * max(first_way, second_way) and later.min() == later.max():
            self._remarks.add(
                f"{self._name}: every other row of its pictures is of another moment, so that what moves is a comb: it "
                "is interlaced, and its header does not say so: deinterlace it first"
            )
        self._combs = None

    def end(self) -> None:
        """No picture follows; of a recording that is read again nothing is said again."""
        ended, self._ended = self._ended, True
        if not ended and AGAIN * self._pairs < self._again < self._pairs:
            self._remarks.add(
                f"{self._name}: pictures that are the one before again, as where a recorder fills up to its rate",
                self._again,
            )
        if not ended and self._seen >= FEW and self._blank > AGAIN * self._seen:
            self._remarks.add(
                f"{self._name}: pictures of one value all over, in which nothing can be found: a covered lens, or "
                "pixels that were not written",
                self._blank,
            )


def likeness(a: Image, b: Image) -> float:
    """Correlation of two pictures; 0 where one of them is of one value."""
    x, y = (picture.astype(np.float32).ravel() for picture in (a, b))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0


def comb(even: Floats, odd: Floats) -> float:
    """How far odd rows lie off the mean of those above and below: mean square."""
    rows = min(len(even) - 1, len(odd))
    return float(np.square(even[:rows] + even[1 : rows + 1] - 2 * odd[:rows]).mean())


def apart(a: Image, b: Image) -> float:
    """How far two pictures are from each other: mean square."""
    return float(np.square(a.astype(np.float32) - b).mean())
