"""`irtrack serve`: a station that watches cameras until it is told to end."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from irtrack.core import IrtrackError
from irtrack.stopping import Stop
from irtrack.text import one_line

if TYPE_CHECKING:
    from irtrack.station.settings import StationSettings, WebSettings
    from irtrack.station.station import Station, Web
    from irtrack.station.systemd import Notifier

LOOK_S = 0.2

log = logging.getLogger("irtrack.serve")


class OneLine(logging.Formatter):
    """A line for each message: what journald counts as one. Times and names are journald's."""

    def format(self, record: logging.LogRecord) -> str:
        """With the cause of a fault behind it, on lines of its own."""
        record.msg, record.args = one_line(record.getMessage()), ()
        return super().format(record)


def serve(args: argparse.Namespace) -> int:
    """`irtrack serve STATION.toml [--check]`."""
    from irtrack.station.plan import check
    from irtrack.station.settings import load_station
    from irtrack.station.station import Station, share_memory

    share_memory()
    stop: Stop = args.stop
    stop.polled = True
    reload = Reload(stop)
    settings = load_station(args.station)
    lines = stop.waited(lambda: check(settings))
    print("\n".join(lines), flush=True)
    if told_secrets(settings, args.station):
        print(f"irtrack: note: {args.station} holds a password, and may be read by others: chmod 600", file=sys.stderr)
    if args.check:
        print("this can be run")
        return 0
    begin_log(args.debug)
    from irtrack.station.systemd import Notifier

    notifier, station = Notifier(), Station(settings, make_web=make_web)
    try:
        station.start()
        notifier.say("READY=1", f"STATUS=watching {len(station.cameras)} cameras")
        log.info("station %s watches %d cameras", settings.name, len(station.cameras))
        watch(station, notifier, stop, reload, args.station)
    finally:
        notifier.say("STOPPING=1")
        log.info("the station ends")
        station.close()
    return 0


def told_secrets(settings: StationSettings, path: Path) -> bool:
    """Whether a camera's password stands in a file that others may read."""
    from irtrack.capture.address import address_of

    found = (address_of(camera.source) for camera in settings.cameras)
    return any(address is not None and address.user for address in found) and bool(path.stat().st_mode & 0o077)


def make_web(station: Station, settings: WebSettings, before: Web | None) -> Web:
    """The pages, which only then are loaded. Raises IrtrackError."""
    from irtrack.station.web.server import WebServer

    assert before is None or isinstance(before, WebServer)
    return WebServer(station, settings, before)


class Reload:
    """SIGHUP, which elsewhere ends a program, asks a station to read its file again."""

    def __init__(self, stop: Stop) -> None:
        self.asked = False
        stop.instead("SIGHUP", self._note)

    def _note(self, number: int, frame: object) -> None:
        self.asked = True


def watch(station: Station, notifier: Notifier, stop: Stop, reload: Reload, path: Path) -> None:
    """Until the end is asked for. While a camera hangs, systemd does not hear that all is well."""
    hanging: list[str] = []
    while not stop.asked:
        if reload.asked:
            reload.asked = False
            take_over(station, notifier, path)
        station.look()
        if (now := station.hanging) != hanging:
            if now:
                log.error("nothing moves in %s", ", ".join(f"camera {name}" for name in now))
                notifier.say(f"STATUS=hangs: {', '.join(now)}")
            hanging = now
        if not hanging:
            notifier.ping()
        time.sleep(LOOK_S)


def take_over(station: Station, notifier: Notifier, path: Path) -> None:
    """The station file as it is now, if it can be run; otherwise all goes on as before."""
    from irtrack.station.plan import check
    from irtrack.station.settings import load_station

    notifier.reloading()
    try:
        settings = load_station(path)
        check(settings)
        changed = station.take_over(settings)
    except IrtrackError as error:
        log.error("not taken over, all goes on as before: %s", error)
    else:
        log.info("taken over: %s", ", ".join(changed) if changed else "nothing changed")
    notifier.say("READY=1", f"STATUS=watching {len(station.cameras)} cameras")


def begin_log(debug: bool) -> None:
    """What happens, on stderr; journald keeps it, and rotates it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("irtrack: %(message)s"))
    root = logging.getLogger("irtrack")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if debug else logging.INFO)
