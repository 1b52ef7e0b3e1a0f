"""What the parts of the window are given beside the session: two calls; and what sources are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from irtrack.capture.address import address_of, redact


@dataclass(frozen=True)
class Words:
    """`say`: a passing message in the status line. `error`: a line above the picture that stays."""

    say: Callable[[str], None]
    error: Callable[[str], None]


def name_of(source: str) -> str:
    """What a source is called in titles: of a file its name, of an address nothing that is secret."""
    return Path(redact(source)).name if address_of(source) is None else redact(source)
