"""A station: cameras, outputs, clips and pages together, and their settings taken over while it runs."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from irtrack.capture.address import use_credentials
from irtrack.core import ConfigError
from irtrack.sinks.target import reason
from irtrack.station.camera import Camera, MakeDetector
from irtrack.station.contents import Contents, changed, hash_now
from irtrack.station.database import Database
from irtrack.station.disk import Disk
from irtrack.station.events import Change
from irtrack.station.networks import Networks
from irtrack.station.news import SAID, News, Outlet, plain
from irtrack.station.outputs import make_output
from irtrack.station.retention import Retention, make_shrinkable
from irtrack.station.settings import CameraSettings, CotSettings, OutputSettings, StationSettings, WebSettings

try:
    import fcntl
except ImportError:  # not on Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]

SWEEP_S, TIDY_S = 10.0, 120.0
"""The disk is looked at so often, and memory that is free given back: detectors have malloc keep all that it ever had,
which threads that come and go make more and more of."""

log = logging.getLogger(__name__)


class Web(Protocol):
    """The server of a station's pages; it listens from the moment it is made."""

    def start(self) -> None:
        """Begin to answer."""
        ...

    def close(self) -> None:
        """No more answers."""
        ...


MakeWeb = Callable[["Station", WebSettings, Web | None], Web]
"""Makes one; given the one before where that is at the same place. Raises IrtrackError."""


class Station:
    """All that `irtrack serve` runs. Its methods are called by one thread, but for `tell`."""

    def __init__(
        self, settings: StationSettings, make: MakeDetector | None = None, make_web: MakeWeb | None = None
    ) -> None:
        """Makes the folder where it is not there, and locks it. `make`: other detectors than networks that cameras
        share. Without `make_web` there are no pages. Raises IrtrackError."""
        self._networks = Networks()
        self._networks.expect(camera.settings.detector for camera in settings.cameras)
        self.settings, self._make, self._make_web = settings, make or self._networks.detector, make_web
        self.folder = Path(settings.folder)
        self._locks = [claim_folder(self.folder)]
        try:
            base = (self.folder / "events.db").resolve()
            if base.parent != self.folder.resolve():  # a link to the database of another station
                self._locks.append(claim_folder(base.parent))
            use_credentials(Path(settings.credentials) if settings.credentials else None)
            self.database = Database(self.folder / "events.db")
            self.database.prepare()
            make_shrinkable(self.database.path)
        except BaseException:
            self._unlock()
            raise
        self.disk = Disk(settings.disk, self.folder, self.database.path)
        self.retention = Retention(settings.retention, self.database.path, self.disk)
        self._contents, self._token = Contents.of(settings), ""
        self.begun_s = time.monotonic()
        self.outlets: dict[OutputSettings, Outlet] = {}
        self.cameras: dict[str, Camera] = {}
        self.web: Web | None = None
        self._listeners: list[Callable[[News], None]] = []
        self._listening = threading.Lock()
        self._swept_s = self._tidied_s = time.monotonic()

    # -- news -----------------------------------------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """To all outputs and to whoever listens; returns at once. In any thread."""
        for outlet in tuple(self.outlets.values()):
            outlet.put(news)
        with self._listening:
            listeners = tuple(self._listeners)
        for listen in listeners:
            listen(news)

    @contextlib.contextmanager
    def listening(self, call: Callable[[News], None]) -> Iterator[None]:
        """Have `call` called with all news meanwhile; it must return at once."""
        with self._listening:
            self._listeners.append(call)
        try:
            yield
        finally:
            with self._listening:
                self._listeners.remove(call)

    # -- beginning, taking over, end ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin everything. Raises IrtrackError where an output or the pages cannot be."""
        settings = self.settings
        self.disk.sweep()
        self.web = self._pages(settings)
        self._token = self._token_now()
        self.outlets = {one: Outlet(make_output(one, settings), one.waiting) for one in by_news(settings)}
        for row in self.database.left():
            values = {name: plain(row[name]) for name in SAID} | {"active": 0}
            name = f"{row['run']}-{row['track']}"
            self.tell(News(Change.ENDED, settings.name, row["source"], name, values))
        for outlet in self.outlets.values():
            outlet.start()
        if self.web is not None:
            self.web.start()
        for camera in settings.cameras:
            self._begin(camera)
        self.retention.start()

    def _pages(self, settings: StationSettings) -> Web | None:
        if self._make_web is None or not settings.web.on:
            return None
        old, new = self.settings.web, settings.web
        return self._make_web(self, new, self.web if (old.host, old.port) == (new.host, new.port) else None)

    def _token_now(self) -> str:
        return hash_now(self.folder / "token")

    def _begin(self, camera: CameraSettings) -> None:
        self.cameras[camera.name] = Camera(camera, self.settings, self.disk, self.tell, self._make).start()

    def take_over(self, new: StationSettings) -> list[str]:
        """Go on with other settings, which were checked; what did not change goes on untouched. A file that they name
        counts as changed where its content did. Gives what changed.

        Raises IrtrackError, and then all is as before.
        """
        old = self.settings
        if Path(new.folder) != self.folder:
            raise ConfigError(f"folder = {new.folder} is another one: that needs a restart")
        renamed = old.name != new.name
        before, now = self._contents, Contents.of(new)
        token = ["token"] if self._token_now() != self._token else []
        web_changed = old.web != new.web or bool(token)
        web = self._pages(new) if web_changed else None  # its port, before anything is given up
        fresh: dict[OutputSettings, Outlet] = {}
        try:
            for one in by_news(new):
                files = changed(before.outputs.get(one), now.outputs[one])
                others = one.kind in BY_CAMERA and names(old) != names(new)
                if one not in self.outlets or renamed or others or files:
                    fresh[one] = Outlet(make_output(one, new), one.waiting)
        except BaseException:
            for outlet in fresh.values():
                outlet.close(0.0)
            if web is not None:
                web.close()
            raise
        use_credentials(Path(new.credentials) if new.credentials else None)
        self.settings, self.disk.settings, self.retention.settings = new, new.disk, new.retention
        self._contents, self._token = now, self._token_now()
        self._networks.expect(camera.settings.detector for camera in new.cameras)
        if web_changed:
            self._change_web(web)
        return [
            *self._change_cameras(old, new, before),
            *self._change_outlets(fresh, old, new, before),
            *([f"pages{told(token)}"] if web_changed else []),
            *changed(before.credentials, now.credentials),
            *(name for name in ("disk", "retention") if getattr(old, name) != getattr(new, name)),
        ]

    def _change_cameras(self, old: StationSettings, new: StationSettings, before: Contents) -> list[str]:
        same_for_all = alike(old) == alike(new)
        wanted = {camera.name: camera for camera in new.cameras}
        files = {name: changed(before.cameras.get(name), now) for name, now in self._contents.cameras.items()}
        ending = [c for n, c in self.cameras.items() if not same_for_all or wanted.get(n) != c.settings or files.get(n)]
        for camera in ending:
            camera.stop()
        for camera in ending:
            camera.join()
            del self.cameras[camera.name]
        for name, settings in wanted.items():
            if name not in self.cameras:
                self._begin(settings)
        ended = {camera.name for camera in ending}
        begun = [name for name in wanted if name in ended or name not in {c.name for c in old.cameras}]
        self.cameras = {name: self.cameras[name] for name in wanted}
        return [f"camera {n}{told(files[n])}" for n in begun] + [
            f"camera {n} removed" for n in sorted(ended - set(wanted))
        ]

    def _change_outlets(
        self, fresh: dict[OutputSettings, Outlet], old: StationSettings, new: StationSettings, before: Contents
    ) -> list[str]:
        kept = {one: outlet for one, outlet in self.outlets.items() if one in by_news(new) and one not in fresh}
        ended = {one: outlet for one, outlet in self.outlets.items() if one not in kept}
        self.outlets = {one: fresh.get(one) or kept[one] for one in by_news(new)}
        gone = sorted(set(names(old)) - set(names(new)))
        for one, outlet in ended.items():  # before the new ones: of a broker, one station has one connection
            left = outlet.close(forget=gone)
            if one in fresh:
                fresh[one].inherit(left)
        for outlet in fresh.values():
            outlet.start()
        files = {one: changed(before.outputs.get(one), self._contents.outputs[one]) for one in fresh}
        return [f"output {outlet.name}{told(files[one])}" for one, outlet in fresh.items()]

    def _change_web(self, web: Web | None) -> None:
        if self.web is not None:
            self.web.close()
        self.web = web
        if web is not None:
            web.start()

    def look(self) -> None:
        """What is to be done now and then; called a few times a second."""
        if time.monotonic() - self._swept_s > SWEEP_S:
            self._swept_s = time.monotonic()
            self.disk.sweep()
        if time.monotonic() - self._tidied_s > TIDY_S:
            self._tidied_s = time.monotonic()
            give_back()

    def close(self) -> None:
        """End everything: what was begun is ended, told and written."""
        self.retention.close()
        for camera in self.cameras.values():
            camera.stop()
        for camera in self.cameras.values():
            camera.join()
        closing = [threading.Thread(target=outlet.close, daemon=True) for outlet in self.outlets.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        if self.web is not None:
            self.web.close()
        self._unlock()

    def _unlock(self) -> None:
        for lock in self._locks:
            lock.close()

    # -- how it stands --------------------------------------------------------------------------------------------

    @property
    def hanging(self) -> list[str]:
        """Cameras in which nothing moves that should."""
        return [name for name, camera in tuple(self.cameras.items()) if camera.hangs]

    def troubles(self) -> list[str]:
        """What does not work now; empty while all is well."""
        found = []
        for name, camera in tuple(self.cameras.items()):
            if camera.hangs:
                found.append(f"camera {name}: hangs")
            elif camera.trouble or camera.watch == "lost":
                found.append(f"camera {name}: {camera.trouble or 'lost, and connected again when it is there'}")
            if camera.events_trouble:
                found.append(f"camera {name}: {camera.events_trouble}")
            if (shadow := camera.shadow) is not None and shadow.trouble:
                found.append(f"camera {name}: self-test: {shadow.trouble}")
            found += [f"camera {name}: cot: {sender.error}" for sender in camera.senders if sender.error]
        found += [f"output {o.name}: {o.trouble}" for o in tuple(self.outlets.values()) if o.trouble]
        found += [f"disk: {self.disk.full}"] if self.disk.full else []
        return found + ([f"events: {self.retention.trouble}"] if self.retention.trouble else [])


def give_back() -> None:
    """Memory that is free goes back to the system, where that is glibc."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def told(files: list[str]) -> str:
    """Files that are other ones, behind whatever has them."""
    return f" (another {' and '.join(files)})" if files else ""


M_ARENA_MAX, ARENAS = -8, 4
"""glibc's malloc.h, and how many pools of memory threads share."""


def share_memory() -> None:
    """Before there are threads: those that come and go with cameras and clips would each leave a pool behind that
    others do not use (a station of three small cameras took 570 to 640 MiB, and 490 to 590 so)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


BY_CAMERA = ("mqtt",)
"""Kinds of outputs that say which cameras there are."""


def names(settings: StationSettings) -> list[str]:
    """Of its cameras."""
    return [camera.name for camera in settings.cameras]


def by_news(settings: StationSettings) -> list[OutputSettings]:
    """Outputs that get news of events; others are parts of each camera's pipeline."""
    return [one for one in settings.outputs if not isinstance(one, CotSettings)]


def alike(settings: StationSettings) -> StationSettings:
    """What all cameras depend on."""
    inside = tuple(one for one in settings.outputs if isinstance(one, CotSettings))
    none = StationSettings()
    return replace(settings, cameras=(), outputs=inside, web=none.web, disk=none.disk, retention=none.retention)


def claim_folder(folder: Path) -> IO[str]:
    """The station's folder, made where it is not there, and locked while what is given stays open. Raises SinkError."""
    from irtrack.core import SinkError

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = (folder / "station.lock").open("a")
    except OSError as error:
        raise SinkError(f"cannot write to {folder}: {reason(error)}") from error
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SinkError(f"another station runs in {folder}: give each a folder of its own") from None
    except OSError:
        pass  # a file system without locks
    return lock
