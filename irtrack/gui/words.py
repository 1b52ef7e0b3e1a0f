"""What sources are called."""

from __future__ import annotations

from pathlib import Path

from irtrack.capture.address import address_of, redact


def name_of(source: str) -> str:
    """What a source is called in titles: of a file its name, of an address nothing that is secret."""
    return Path(redact(source)).name if address_of(source) is None else redact(source)
