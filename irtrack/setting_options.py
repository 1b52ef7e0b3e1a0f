"""Command line options made from the settings: each `option(...)` of `irtrack.config` is one."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from irtrack.config import DEFAULTS, Checked, DisplaySettings, Settings, allowed, gone

PLAIN = frozenset({"palette", "agc"})
"""Settings of the picture whose names say enough without `--display-` before them."""


class Gone(argparse.Action):
    """An option of earlier versions, refused with what replaces it."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> None:
        parser.error(str(self.const))


def count(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def number_of_threads(text: str) -> int:
    """From 1 to 256. Raises ArgumentTypeError."""
    if (number := count(text)) > 256:
        raise argparse.ArgumentTypeError(f"{text!r} must be 256 at most")
    return number


def flag_of(kind: type[Checked], name: str) -> str:
    """The option of a setting: `coast_s` is `--coast-s`."""
    if name == "correction":
        return "--correct"
    prefix = "display-" if kind is DisplaySettings and name not in PLAIN else ""
    return f"--{prefix}{name.replace('_', '-')}"


def setting_options(parser: argparse.ArgumentParser, title: str, *sections: Checked) -> None:
    """Options of all settings of these sections, as a group of their own; None where one is not given."""
    group = parser.add_argument_group(title)
    for section in sections:
        for f in fields(section):  # type: ignore[arg-type]
            told = asked(f.name, getattr(section, f.name), f.metadata)
            group.add_argument(flag_of(type(section), f.name), dest=f.name, default=None, **told)
        for name, instead in section.GONE.items():
            flag = flag_of(type(section), name)
            group.add_argument(
                flag,
                action=Gone,
                nargs="?",
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
                const=gone(flag, instead),
            )


def asked(name: str, default: Any, about: Any) -> dict[str, Any]:
    """What argparse is told of a setting."""
    text = about["doc"].replace("%", "%%")
    if name == "correction":
        return {"nargs": "?", "const": "camera", "metavar": "FILE", "help": f"{text} (without FILE: camera)"}
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction, "help": text}
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    unit = f" {about['unit']}".replace("%", "%%") if about["unit"] else ""
    told: dict[str, Any] = {"type": type(default), "help": f"{text} ({shown}{unit})" if default != "" else text}
    if about["choices"]:
        told["choices"] = allowed(about)
    else:
        told["metavar"] = about["form"] or {int: "N", float: "X", str: "TEXT"}[type(default)]
    return told


def config_option(parser: argparse.ArgumentParser) -> None:
    """Of every command with settings."""
    parser.add_argument("--config", type=Path, metavar="TOML", help="settings file; options given here win over it")


def detector_options(parser: argparse.ArgumentParser) -> None:
    """Options of everything that runs the network."""
    setting_options(parser, "detector", DEFAULTS.detector, DEFAULTS.capture)
    config_option(parser)


def tracker_options(parser: argparse.ArgumentParser, defaults: Settings = DEFAULTS) -> None:
    """Options of everything that tracks."""
    setting_options(parser, "tracker", defaults.tracker)


def display_options(parser: argparse.ArgumentParser) -> None:
    """Options of everything that draws."""
    setting_options(parser, "picture, which detection never sees", DEFAULTS.display)
