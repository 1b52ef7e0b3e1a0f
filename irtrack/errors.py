"""The errors that a user can act on."""

from __future__ import annotations


class IrtrackError(Exception):
    """Something the user can act on: the message is one line that says what is wrong and what to do."""


class SourceError(IrtrackError):
    """A source cannot be opened or read on."""


class AwayError(SourceError):
    """A camera is not there or says nothing: it may still come."""


class WeightsError(IrtrackError):
    """Weights are missing, damaged or of another network."""


class SinkError(IrtrackError):
    """A log cannot be written."""


class ConfigError(IrtrackError):
    """A setting is unknown or out of range."""
