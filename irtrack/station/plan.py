"""Whether a station file can be run, and what it would do, before anything is begun."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from irtrack.build import make_tracker
from irtrack.capture.address import credentials_in, secret_in
from irtrack.config import check_pixels, polygons
from irtrack.core import ConfigError, IrtrackError
from irtrack.direction.camera import load_camera
from irtrack.station.outputs import NEEDS, check_extra
from irtrack.station.retention import beyond
from irtrack.station.settings import CotSettings, OutputSettings, StationSettings


def check(settings: StationSettings) -> list[str]:
    """Whether it could be run: what it names is there and can be read. Gives what it would do, in lines.

    Raises IrtrackError for the first thing that is wrong.
    """
    from irtrack.detect.detector import pick_device, pick_weights
    from irtrack.detect.weights import load_weights

    check_folder(Path(settings.folder), settings.disk.free_gb)
    if settings.credentials:
        credentials_in(Path(settings.credentials))
    known: set[tuple[str, str]] = set()
    for camera in settings.cameras:
        detector = camera.settings.detector
        try:
            if (detector.weights, detector.device) not in known:
                load_weights(pick_weights(detector.weights, pick_device(detector.device)), others=True)
                known.add((detector.weights, detector.device))
            make_tracker(camera.settings)
            check_pixels((*polygons(detector.include), *polygons(detector.exclude)))
            if camera.pose:
                load_camera(Path(camera.pose))
            correction = camera.settings.capture.correction
            if correction not in ("", "camera") and not Path(correction).is_file():
                raise ConfigError(f"correction = {correction} is not there: make it with irtrack flat")
        except IrtrackError as error:
            raise ConfigError(f"camera {camera.name!r}: {error}") from error
    if any(isinstance(o, CotSettings) for o in settings.outputs) and not any(c.pose for c in settings.cameras):
        raise ConfigError("an output of the kind cot sends directions, and no camera has a pose: make one by calibrate")
    for one in settings.outputs:
        check_extra(NEEDS.get(one.kind, ()), f"an output of the kind {one.kind}")
        for file in filter(None, (getattr(one, name, "") for name in ("password_file", "secret_file"))):
            secret_in(Path(file))
    if settings.web.on:
        check_extra(("fastapi", "uvicorn", "websockets", "prometheus_client"), "the station's web page")
    return plan(settings)


def check_folder(folder: Path, free_gb: float) -> None:
    """Raises ConfigError where a folder is none that can be made and written to, or is on a disk that is smaller than
    what is to stay free of it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        why = "is no folder that can be written to"
        raise ConfigError(f"folder = {folder} {why if there == folder else f'cannot be made: {there} {why}'}")
    size_gb = shutil.disk_usage(there).total / 1e9
    if free_gb >= size_gb > 0:
        raise ConfigError(
            f"free_gb = {free_gb:g}, and the disk of {folder} has {size_gb:.3g} GB: no clip would be kept"
        )


def plan(settings: StationSettings) -> list[str]:
    """What it would do, in lines."""
    clips, web, rows = settings.clips, settings.web, settings.retention
    lines = [f"station {settings.name} keeps its events in {settings.folder}"]
    for camera in settings.cameras:
        detector = camera.settings.detector
        regions = ", in regions" if detector.include or detector.exclude else ""
        lines.append(f"camera {camera.name}: {camera.shown}, {camera.schedule}, weights {detector.weights}{regions}")
    if clips.kind == "none":
        lines.append("clips: none")
    else:
        lines.append(
            f"clips: {clips.kind}, {clips.before_s:g} s before to {clips.after_s:g} s after each event, "
            f"{clips.longest_s:g} s at most; {settings.disk.clips_gb:g} GB of them, "
            f"{settings.disk.free_gb:g} GB of the disk stay free; up to {clips.memory_mb} MB of memory a camera"
        )
    lines.append(
        f"events: {rows.keep_days:g} days of them and {rows.most:,} at most, then the oldest go with their clips; "
        "those with a star or a verdict stay and do not count"
    )
    if going := beyond(rows, Path(settings.folder) / "events.db"):
        lines.append(f"events: {going}")
    lines += [f"output: {described(one)}" for one in settings.outputs]
    return [*lines, f"pages: http://{web.host}:{web.port}" if web.on else "pages: none"]


def described(one: OutputSettings) -> str:
    """An output in a few words, without secrets."""
    from irtrack.capture.address import redact

    where = {name: getattr(one, name) for name in ("host", "port", "url", "address") if hasattr(one, name)}
    where = {name: redact(str(value)) if name == "url" else value for name, value in where.items()}
    return ", ".join([one.kind, *(f"{name} {value}" for name, value in where.items())])
