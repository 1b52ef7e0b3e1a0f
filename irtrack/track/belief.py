"""Whether a track is a target, as a number: the log-likelihood ratio of target to clutter, in nats, and what it
consists of.

Sittler (IEEE Trans. Military Electronics, 1964) and Blackman (1986) sum what each frame says of a track. Much of what
tells targets from clutter does not come anew with each frame, though: a lamp is as bright in the hundredth frame as in
the first. So the belief is a sum over *parts*, each a function of one quantity of the track so far: how it was
detected, what it looks like, how it moved, what surrounds it. The functions are piecewise linear, and learned from
tracks with truth as an additive logistic model (Hastie, Tibshirani 1986; `irtrack/track/learn.py`). Wald's upper
threshold follows from the number of false tracks that are accepted in an hour of such footage, and the lower one from
the upper.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from irtrack.core import ConfigError, Floats
from irtrack.text import read_text
from irtrack.track.bank import Bank

PARTS = (
    "detections",
    "place",
    "steadiness",
    "score",
    "brightness",
    "size",
    "flicker",
    "motion",
    "age",
    "surroundings",
    "prominence",
    "clutter",
    "path",
    "pinned",
    "change",
)
"""What a belief consists of.

detections: ln of how many so far; where looks are further apart than usual each counts for more, since chance does
not stay at a target's place. place: the track score of Sittler, from how well they fit the predicted places against the
density of clutter. steadiness: share of the last 64 frames with a detection. score: -ln (1 - mean score of
the network). brightness: mean ln SNR. size: mean ln area in px. flicker: mean change of ln SNR from one detection to
the next. motion: ln (1 + px) that it surely went from where it began, in the scene and on the sensor. age: ln seconds.
surroundings: how uneven the picture is there; prominence: how far it stands out of that (`surroundings.py`).
clutter: ln (1 + tracks that came to nothing near there). path: mean squared Mahalanobis distance from the predicted
place. pinned: ln of the px that it strays on the sensor. change: mean ln (1 + standard deviations by which the picture
differs there from what the frames before let expect), where the detector tells.
"""

LATER = ("change",)
"""Parts that files of earlier versions lack: there they say nothing."""

MOST_PLACE_NATS, MOST_DISTANCE = 60.0, 20.0
"""The most that places may say in all, and the largest squared distance that counts."""

FULL_LOOK_S, MOST_APART = 0.1, 4.0
"""Time between looks up to which each detection counts for one, and the most that one counts for."""

STRAY_PX, STRAY_HITS = (0.05, 3.0), 8
"""Bounds of what a track strays on the sensor, and detections from which that is known."""

CLUTTER = ("chance", "fixture")
"""What else a track can be. Chance: detections that come and go, strung together by accident; what is seen again and
again where it is expected is not that. Fixture: something that is really there and is no target (a lamp, a hot pixel,
text, a warm stone); what moves, or hangs in a plain sky, is not that."""


TABLES = ("bare", "picture", "temporal")
"""What is learned apart: for detections without their pictures, with them, and with what is told of change besides."""


@dataclass(frozen=True)
class Beliefs:
    """The functions of all parts, against each kind of clutter.

    `knots` (P, K): where they bend; `nats` (2, P, K): their values there. `bias` (2,): what is believed of a track of
    which nothing is known. `rate`: exp(rate[0] - rate[1] * b) false tracks an hour have ever a belief above b.
    """

    knots: Floats
    nats: Floats
    bias: Floats
    rate: tuple[float, float]

    def parts(self, quantities: Floats) -> Floats:
        """What each part says (2, N, P), in nats, of quantities (N, P); 0 for what is unknown (NaN)."""
        low, rises = self.knots[:, :-1], np.diff(self.nats, axis=2)
        way = np.clip((quantities[:, :, None] - low) / np.diff(self.knots, axis=1), 0, 1)
        return np.nan_to_num(np.stack([(way * r).sum(2) + y[:, 0] for r, y in zip(rises, self.nats, strict=True)]))

    def reasons(self, quantities: Floats) -> dict[str, dict[str, float]]:
        """What each part says of one track (P,) against each kind of clutter, those that are known."""
        said, known = self.parts(quantities[None])[:, 0], ~np.isnan(quantities)
        return {
            kind: {part: float(v) for part, v, there in zip(PARTS, row, known, strict=True) if there}
            for kind, row in zip(CLUTTER, said, strict=True)
        }

    def __call__(self, quantities: Floats) -> Floats:
        """The belief (N,) in tracks with these quantities (N, P): that it is a target and neither kind of clutter."""
        against = self.bias[:, None] + self.parts(quantities).sum(2)
        return np.asarray(-np.logaddexp(-against[0], -against[1]))

    def threshold(self, caution: float) -> float:
        """The belief from which a track is reported, where `caution` false tracks an hour are accepted."""
        return (self.rate[0] - math.log(caution)) / self.rate[1]


def quantities(bank: Bank, now_s: float, clutter: Floats) -> Floats:
    """What is known of each track (N, P), in the order of `PARTS`; NaN where unknown. `clutter` (N,): from the map of
    it.
    """
    count, score, snr, area, flicker, rough, prominence, distance = bank.sums.T
    look_s = (now_s - bank.born_s) / np.maximum(bank.frames - 1, 1)
    apart = np.clip(look_s / FULL_LOOK_S, 1.0, MOST_APART)
    seen = np.bitwise_count(bank.hits) / np.minimum(bank.frames, 64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack(
            [
                np.log(count * apart),
                bank.place_nats,
                seen,
                -np.log(np.maximum(1 - score / count, 1e-4)),
                snr / count,
                area / count,
                flicker / (count - 1),
                np.log1p(bank.moved),
                np.log(np.maximum(now_s - bank.born_s, 0.03)),
                rough / count,
                prominence / count,
                np.log1p(clutter),
                distance / (count - 1),
                np.where(count < STRAY_HITS, np.nan, np.log(np.clip(np.sqrt(bank.stray[:, 1]), *STRAY_PX))),
                bank.change[:, 0] / bank.change[:, 1],
            ]
        )


def beliefs(path: str, name: str) -> Beliefs:
    """Table `name`, one of `TABLES`: of a file by `irtrack tune`, or without one, or where it lacks that table, the one
    that comes with irtrack. Raises ConfigError with one line.
    """
    if path:
        try:
            text = read_text(Path(path))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or ("it is no text" if isinstance(error, UnicodeError) else error)
            raise ConfigError(f"cannot read beliefs {path}: {reason}; make a file of them with irtrack tune") from error
        if f"[{name}]" in text:
            return parse(text, name, path)
        if name == "temporal" and "[picture]" in text:  # of an earlier version, which knew of no change
            return parse(text, "picture", path)
        if not any(f"[{other}]" in text for other in TABLES):
            raise ConfigError(f"{path} holds no table of beliefs: make it with irtrack tune")
    return shipped(name)


@cache
def shipped(name: str) -> Beliefs:
    """One of the tables that come with irtrack."""
    return parse(files("irtrack.track").joinpath("belief.toml").read_text(encoding="utf-8"), name, "belief.toml")


def parse(text: str, name: str, source: str) -> Beliefs:
    """Table `name` of a TOML text. Raises ConfigError."""
    try:
        table: dict[str, Any] = tomllib.loads(text)[name]
        parts = table["parts"]
        width = len(parts["detections"]["at"])
        nothing = {"at": list(range(width)), **dict.fromkeys(CLUTTER, [0.0] * width)}
        parts = dict.fromkeys(LATER, nothing) | parts
        knots = np.array([parts[part]["at"] for part in PARTS], float)
        nats = np.array([[parts[part][kind] for part in PARTS] for kind in CLUTTER], float)
        bias = np.array([table["bias"][kind] for kind in CLUTTER], float)
        rate = (float(table["rate"][0]), float(table["rate"][1]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{source}: its table [{name}] is no table of beliefs ({error!r}): make it with irtrack tune"
        ) from error
    if knots.shape != nats.shape[1:] or not np.isfinite([*knots.ravel(), *nats.ravel(), *bias, *rate]).all():
        raise ConfigError(f"{source}: its table [{name}] has numbers missing: make it with irtrack tune")
    if (np.diff(knots, axis=1) <= 0).any() or rate[1] <= 0:
        raise ConfigError(f"{source}: the knots of its table [{name}] must rise, and the second rate must be above 0")
    return Beliefs(knots, nats, bias, rate)


def text_of(beliefs: Beliefs, name: str, about: str) -> str:
    """A file with this table, as `parse` reads it, and a line about it."""

    def row(values: Floats) -> str:
        return f"[{', '.join(f'{v:.3f}' for v in values.tolist())}]"

    bias = ", ".join(f"{kind} = {b:.3f}" for kind, b in zip(CLUTTER, beliefs.bias.tolist(), strict=True))
    lines = [f"# {about}", "", f"[{name}]", f"bias = {{ {bias} }}"]
    lines += [f"rate = [{beliefs.rate[0]:.4f}, {beliefs.rate[1]:.4f}]"]
    for p, part in enumerate(PARTS):
        lines += ["", f"[{name}.parts.{part}]", f"at = {row(beliefs.knots[p])}"]
        lines += [f"{kind} = {row(beliefs.nats[k, p])}" for k, kind in enumerate(CLUTTER)]
    return "\n".join([*lines, ""])
