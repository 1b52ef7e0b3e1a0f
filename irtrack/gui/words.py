"""What sources are called."""

from __future__ import annotations

from pathlib import Path

from irtrack.capture.address import address_of, redact


def name_of(source: str) -> str:
    """What a source is called in titles: of a file its name, of an address nothing that is secret."""
    if address_of(source) is not None:
        return redact(source)
    first, *more = redact(source).splitlines() or [""]
    return Path(first).name + (f" and {len(more)} more" if more else "")
