"""Whether weights that learned from one recording still know the rest: a fixed set of scenes that irtrack renders.

It stands in for the validation images, which do not come with irtrack: scenes are simpler than real pictures, and tell
what was forgotten, not how good weights are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from irtrack.detect.manifest import read_manifest
from irtrack.simulate import Scene, scene_from_text
from irtrack.train.data import Sample
from irtrack.train.evaluation import Row, evaluate

KINDS: Mapping[str, str] = {
    "clear targets in the sky": "sky",
    "clutter": "clutter",
    "dim targets": "dim,scr=6",
    "dark targets": "dark",
    "points of a pixel": "sky,psf_sigma_px=0.45,scr=18",
    "larger targets": "sky,psf_sigma_px=2.2",
    "16-bit sensor": "camera16",
    "stripes of columns": "sky,column_pattern=0.012,fixed_pattern=0.006",
    "buildings with lamps": "lamps,targets=3,lamps=8",
    "nothing there": "empty,structure=0.09,texture=0.015",
}
PICTURES, SIZE = 8, "width=160,height=128,frames=1"
"""So many pictures of each kind; the seeds are fixed."""

FIGURES = ("Pd", "false_objects_per_image")
ALL = "all"

CLEAR, CLEAR_OF_ALL = 3.0, 2.0
"""A loss is clear from so many standard deviations of a toss of coins over what differs (McNemar's test): of one kind,
and of all together."""

LEAST = {"matched": 0.03, "false_objects": 0.1}
"""And from this on: of the targets, and an image."""


@dataclass(frozen=True)
class Retained:
    """Figures by kind, and ALL, before and after; and what was clearly lost, a line each."""

    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    warnings: list[str]


def rendered() -> dict[str, list[Sample]]:
    """The pictures of each kind, the same at every call."""
    out: dict[str, list[Sample]] = {}
    for number, (kind, text) in enumerate(KINDS.items()):
        out[kind] = []
        for i in range(PICTURES):
            scene = Scene(scene_from_text(f"{text},{SIZE},seed={7000 + 100 * number + i}"))
            out[kind].append(Sample(f"{kind} {i}", scene.image(0), scene.mask(0)))
    return out


Network = Callable[[Tensor], Tensor]


def compare(before: Network, after: Network, threshold: float, device: str = "cpu") -> Retained:
    """Both networks on the rendered scenes, at one threshold."""
    sets = rendered()
    everything = [sample for samples in sets.values() for sample in samples]
    figures: list[dict[str, dict[str, float]]] = []
    tables: list[dict[str, list[Row]]] = []
    for network in (before, after):
        made = {kind: evaluate(network, samples, threshold, device) for kind, samples in sets.items()}
        rows = {kind: table for kind, (_, table) in made.items()}
        rows[ALL] = [row for table in rows.values() for row in table]
        figures.append({kind: figures_of(f) for kind, (f, _) in made.items()})
        figures[-1][ALL] = whole(rows[ALL], len(everything))
        tables.append(rows)
    lost = [line for kind in (ALL, *sets) for line in losses(kind, tables[0][kind], tables[1][kind])]
    return Retained(figures[0], figures[1], lost)


def figures_of(every: Mapping[str, float]) -> dict[str, float]:
    """Those of FIGURES that there are: of pictures without targets, none can be found."""
    return {name: every[name] for name in FIGURES if name != "Pd" or every["targets"]}


def whole(rows: Sequence[Row], images: int) -> dict[str, float]:
    """The figures over all kinds."""
    found, targets, false = (sum(float(row[name]) for row in rows) for name in ("matched", "targets", "false_objects"))
    return {"Pd": 100 * found / max(targets, 1), "false_objects_per_image": false / images}


def losses(kind: str, before: Sequence[Row], after: Sequence[Row]) -> list[str]:
    """What got clearly worse on these pictures, beyond chance."""
    out, sigmas = [], CLEAR_OF_ALL if kind == ALL else CLEAR
    where = "all rendered scenes" if kind == ALL else kind
    for name, sign, text in (
        ("matched", -1, "finds {now:.0f} of {of:.0f} targets in {where}, {was:.0f} before"),
        ("false_objects", 1, "{now:.0f} false detections in {of:.0f} pictures of {where}, {was:.0f} before"),
    ):
        was, now = ([float(row[name]) for row in rows] for rows in (before, after))
        worse = [sign * (b - a) for a, b in zip(was, now, strict=True)]
        of = sum(float(row["targets"]) for row in before) if name == "matched" else len(before)
        if sum(worse) > sigmas * math.sqrt(sum(map(abs, worse))) and sum(worse) >= LEAST[name] * of:
            out.append(text.format(now=sum(now), was=sum(was), of=of, where=where))
    return out


def shipped(weights: str) -> dict[str, dict[str, float]]:
    """Figures that come with a model of irtrack, by its validation sets; none of other weights."""
    figures = read_manifest().get(weights, {}).get("validation", {})
    sets = [key.removesuffix(" Pd") for key in figures if key.endswith(" Pd")]
    return {name: {figure: float(figures[f"{name} {figure}"]) for figure in FIGURES} for name in sets}


def said(retained: Retained, known: Mapping[str, Mapping[str, float]], weights: str) -> list[str]:
    """All of it as lines for a terminal. `known`: as `shipped` gives it of `weights`."""
    columns = f"{'before':>9}{'learnt':>9}"
    lines = [
        "on scenes that irtrack renders, to see what was forgotten:",
        f"  {'':26}{'targets found, %':>18}{'false a picture':>18}",
        f"  {'':26}{columns}{columns}",
    ]
    for kind, was in retained.before.items():
        now = retained.after[kind]
        lines.append(
            f"  {kind:26}"
            + "".join(f"{was[name]:9.2f}{now[name]:9.2f}" if name in was else f"{'-':>9}{'-':>9}" for name in FIGURES)
        )
    lines += [f"warning: {text}" for text in retained.warnings]
    if known:
        lines.append(f"{weights} as it came, on validation images that are not here:")
        lines += [f"  {name:42}{f[FIGURES[0]]:9.2f}{f[FIGURES[1]]:9.2f}" for name, f in known.items()]
    return lines
