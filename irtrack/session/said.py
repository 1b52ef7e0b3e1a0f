"""What a session file says beside results: named values as text, with a sum that tells whether they are as they were
written; recipes and regions as plain values."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from irtrack.config import Settings, polygons, polygons_text
from irtrack.imaging.regions import Regions as Areas
from irtrack.session.preferences import REGION_KINDS, Regions
from irtrack.session.recipe import Recipe

SUMMED = re.compile(r"([0-9a-f]{8}) (.*)", re.DOTALL)
"""A value's sum, and the value; what an earlier version wrote is the value alone."""


def text_of(name: str, value: object) -> str:
    """A value as it stands in the file."""
    plain = json.dumps(value)
    return f"{sum_of(name, plain):08x} {plain}"


def value_of(name: str, text: str) -> Any:
    """The value again. Raises ValueError where it is not what was written."""
    found = SUMMED.fullmatch(text)
    if found is None:
        return json.loads(text)
    if int(found[1], 16) != sum_of(name, found[2]):
        raise ValueError(f"{name} is damaged")
    return json.loads(found[2])


def sum_of(name: str, plain: str) -> int:
    """Of a value and its name."""
    return zlib.crc32(f"{name} {plain}".encode("utf-8", "surrogatepass"))


def recipes_to(recipes: Sequence[Recipe | None]) -> list[dict[str, Any] | None]:
    """Plain values, exactly."""
    return [None if recipe is None else recipe_to(recipe) for recipe in recipes]


def recipes_from(values: Sequence[Mapping[str, Any] | None]) -> list[Recipe | None]:
    """The recipes again. Raises what comes of other values."""
    return [None if value is None else recipe_from(value) for value in values]


def recipe_to(recipe: Recipe) -> dict[str, Any]:
    """Plain values, exactly."""
    regions = {"include": recipe.regions.include, "exclude": recipe.regions.exclude}
    return {"detector": recipe.detector.to_dict(), "regions": regions}


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """The recipe again. Raises what comes of other values."""
    before = {"closer": False}  # an earlier version, which did not say so, did not look closer
    detector = Settings.from_dict({"detector": before | values["detector"]}).detector
    regions = regions_from(values["regions"])
    return Recipe(detector, Areas(regions.get("include", ()), regions.get("exclude", ())))


def regions_from(values: Mapping[str, Any]) -> Regions:
    """Polygons by kind. Raises what comes of other values."""
    made = {
        kind: tuple(tuple((float(x), float(y)) for x, y in outline) for outline in values[kind])
        for kind in REGION_KINDS
        if kind in values
    }
    for outlines in made.values():
        polygons(polygons_text(outlines))
    return made


def runs_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of whole numbers in rising order that follow each other."""
    out: list[tuple[int, int]] = []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1] = (out[-1][0], number)
        else:
            out.append((number, number))
    return out
