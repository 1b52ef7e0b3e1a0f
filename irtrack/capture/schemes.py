"""What SOURCE texts begin with, and which one a mistyped one was meant to be."""

from __future__ import annotations

import os

from irtrack import plugins
from irtrack.capture.kinds import TEXTS
from irtrack.core import SourceError
from irtrack.text import meant

STREAMS = tuple(p.removesuffix("://") for kind in TEXTS for p in kind.prefixes if p.endswith("://"))
OWN = tuple(p.removesuffix(":") for kind in TEXTS for p in kind.prefixes if p.endswith(":"))


def check_scheme(text: str) -> None:
    """Raises SourceError where a text begins with what looks like a mistyped kind of source, and is no file."""
    scheme, colon, rest = text.partition(":")
    known = (*(STREAMS if rest.startswith("//") else OWN), *plugins.found(plugins.SOURCES))
    if not colon or scheme in (*OWN, *STREAMS, *known) or os.path.lexists(text):
        return
    guess = meant(scheme, known)
    if guess:
        raise SourceError(f"there is no source of the kind {scheme[:40]!r}{guess}, and no file of this name")
