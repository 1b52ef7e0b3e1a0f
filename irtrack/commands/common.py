"""What several commands share: settings from options, and the last words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from irtrack.config import DEFAULTS, Settings, load_settings
from irtrack.core import Remarks


def settings_from(args: argparse.Namespace, defaults: Settings = DEFAULTS) -> Settings:
    """`defaults`, overruled by what the settings file says, if there is one, and both by the options given."""
    settings = load_settings(args.config, defaults) if getattr(args, "config", None) else defaults
    detector = ("weights", "device", "threshold", "threads", "mode", "backend", "precision", "levels")
    return replace(
        settings,
        capture=replace(settings.capture, **given(args, ("correction", "destripe"))),
        detector=replace(settings.detector, **given(args, detector)),
        display=replace(settings.display, **given(args, ("palette", "agc"))),
    )


def given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that were given."""
    values = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def common_outputs(args: argparse.Namespace) -> dict[str, Any]:
    """The outputs that `run` and `track` share."""
    return {k: getattr(args, k) for k in ("mot", "trackmate", "cvat", "coco", "force", "online", "offline")}


def conclude(remarks: Remarks, strict: bool) -> int:
    """Say what should be known of what was read; returns the exit code."""
    for line in remarks.lines():
        print(f"irtrack: note: {line}", file=sys.stderr)
    if remarks and strict:
        print("irtrack: --strict: a run with notes counts as failed", file=sys.stderr)
        return 1
    return 0
