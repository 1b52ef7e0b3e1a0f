"""What SOURCE texts begin with, and which one a mistyped one was meant to be."""

from __future__ import annotations

import os

from irtrack.core import SourceError
from irtrack.text import meant

OWN = ("sim", "simcam", "camera", "genicam", "aravis")
STREAMS = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp", "http", "https", "file")


def check_scheme(text: str) -> None:
    """Raises SourceError where a text begins with what looks like a mistyped kind of source, and is no file."""
    scheme, colon, rest = text.partition(":")
    known = STREAMS if rest.startswith("//") else OWN
    if not colon or scheme in (*OWN, *STREAMS) or os.path.lexists(text):
        return
    guess = meant(scheme, known)
    if guess:
        raise SourceError(f"there is no source of the kind {scheme[:40]!r}{guess}, and no file of this name")
