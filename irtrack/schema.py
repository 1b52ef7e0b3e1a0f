"""The settings as a JSON schema, for editors that check TOML files while they are written."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from irtrack.config import DEFAULTS, Checked, allowed

TYPES = {str: "string", float: "number", int: "integer", bool: "boolean"}


def json_schema() -> dict[str, Any]:
    """Of a settings file, draft 2020-12."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Settings of irtrack", **of(DEFAULTS)}


def of(section: Checked) -> dict[str, Any]:
    """Of a table of settings."""
    properties = {}
    for f in fields(section):  # type: ignore[arg-type]
        value = getattr(section, f.name)
        properties[f.name] = of(value) if isinstance(value, Checked) else one(value, f.metadata)
    return {
        "type": "object",
        "description": (section.__doc__ or "").strip(),
        "properties": properties,
        "additionalProperties": False,
    }


def one(default: Any, about: Any) -> dict[str, Any]:
    """Of a setting."""
    unit = f" ({about['unit']})" if about["unit"] else ""
    made = {"type": TYPES[type(default)], "default": default, "description": about["doc"] + unit}
    bounds = {"minimum": about["low"], "maximum": about["high"], "enum": list(allowed(about)) or None}
    return made | {key: value for key, value in bounds.items() if value is not None}
