"""Sources of frames; `open_source` picks one for the text a user types."""

from irtrack.capture.address import redact
from irtrack.capture.open import open_source

__all__ = ["open_source", "redact"]
