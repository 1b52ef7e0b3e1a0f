"""The one table of kinds of outputs of a station.

A new kind is a class (see `irtrack.station.news.Output`), its settings in `irtrack.station.settings`, and a row here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from irtrack.core import IrtrackError
from irtrack.station.news import Output
from irtrack.station.settings import FileSettings, MqttSettings, OutputSettings, StationSettings, WebhookSettings


def make_mqtt(settings: OutputSettings, station: StationSettings) -> Output:
    from irtrack.station.mqtt import MqttOutput

    assert isinstance(settings, MqttSettings)
    return MqttOutput(settings, station.name, [camera.name for camera in station.cameras])


def make_webhook(settings: OutputSettings, station: StationSettings) -> Output:
    from irtrack.station.webhook import WebhookOutput

    assert isinstance(settings, WebhookSettings)
    return WebhookOutput(settings)


def make_file(settings: OutputSettings, station: StationSettings) -> Output:
    from irtrack.station.files import FileOutput

    assert isinstance(settings, FileSettings)
    return FileOutput(settings.kind, Path(station.folder) / "logs")


MAKERS: Mapping[str, Callable[[OutputSettings, StationSettings], Output]] = {
    "mqtt": make_mqtt,
    "webhook": make_webhook,
    "csv": make_file,
    "jsonl": make_file,
}

NEEDS: Mapping[str, Sequence[str]] = {"mqtt": ("paho",)}
"""Packages of the extra `station` that a kind needs."""


def make_output(settings: OutputSettings, station: StationSettings) -> Output:
    """An output by its kind. Raises IrtrackError where it cannot be made."""
    return MAKERS[settings.kind](settings, station)


def check_extra(names: Sequence[str], what: str) -> None:
    """Raises IrtrackError where packages are missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise IrtrackError(f"{what} needs {' and '.join(missing)}: pip install 'irtrack[station]'")
