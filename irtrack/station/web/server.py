"""The server of a station's pages, in a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from irtrack.core import ConfigError
from irtrack.sinks.target import reason
from irtrack.station.settings import WebSettings
from irtrack.station.web.access import token_in
from irtrack.station.web.app import make_app

if TYPE_CHECKING:
    from irtrack.station.station import Station

END_S = 10.0
PATIENCE_S = 1.0
SHOWN = 4
"""Letters of the token that the log shows."""

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """At its end, whoever takes nothing of what is sent is disconnected, before uvicorn takes that for an error."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers that are begun have `PATIENCE_S` to be taken."""
        asyncio.get_running_loop().call_later(PATIENCE_S, self._disconnect)
        await super().shutdown(sockets)

    def _disconnect(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class WebServer:
    """Listens from the moment it is made; answers from `start` on."""

    def __init__(self, station: Station, settings: WebSettings, before: WebServer | None = None) -> None:
        """`before`: one at the same place, whose end is near. Raises IrtrackError where the port cannot be had, or the
        token not be kept."""
        self._folder, self._token = station.folder, token_in(station.folder)
        self._socket: socket.socket
        try:
            self._socket = before._socket.dup() if before is not None else listening_at(settings.host, settings.port)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise ConfigError(
                f"the pages cannot be at {where}: {reason(error)}; choose another host or port"
            ) from error
        self.host, self.port = settings.host, int(self._socket.getsockname()[1])
        app, self._pages = make_app(station, settings.fps, self._token)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3, lifespan="off",
            ws="websockets-sansio",
        )  # fmt: skip
        self._server = Server(config)
        self._thread = threading.Thread(target=self._serve, name="irtrack-web", daemon=True)
        self._started = False

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._started = True
        self._thread.start()
        path = self._folder / "token"
        log.info("pages at %s; the token, which begins with %s, is in %s", self.url, self._token[:SHOWN], path)
        if not is_loopback(self.host):
            log.warning("%s is open to others without encryption: see docs/station.md for TLS", self.url)

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException:  # the cameras go on
            log.exception("the pages have ended")

    def close(self) -> None:
        """No more answers."""
        self._pages.closing = self._server.should_exit = True
        if self._started:
            self._thread.join(END_S)
        self._socket.close()


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
