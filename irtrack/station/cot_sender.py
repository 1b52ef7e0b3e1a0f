"""Sends CoT events over UDP (to one or to a group) and TCP, in a thread of its own; whoever calls never waits."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections import deque
from urllib.parse import parse_qs, urlsplit

from irtrack.core import ConfigError

log = logging.getLogger(__name__)

CAPACITY = 256
"""Events that wait; the oldest goes where there is no more room."""

CONNECT_S = 3.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between attempts to reach a TCP server, doubled each time."""

SEND_S = 5.0
"""A server that takes nothing for so long is left, and connected anew."""

SILENT_MS = 15_000
"""A TCP server that acknowledges nothing for so long has gone (Linux)."""

LEAVE_S = 2.0
"""What waits at the end is given so long to be sent."""


class CotSender:
    """To `udp://HOST:PORT`, `udp://GROUP:PORT?via=ADDRESS` (one of this machine, or an interface where it is IPv6) or
    `tcp://HOST:PORT`. In any thread.

    `sent`, `dropped`, `failures` count events and attempts; `connected`; `error`: the last one, as text.
    """

    def __init__(self, address: str, hops: int = 1, capacity: int = CAPACITY) -> None:
        """`hops`: routers that a datagram to a group may pass. Raises ConfigError for an address that is none."""
        self.address = address
        self._scheme, self._host, self._port, self._via = parsed(address)
        self._hops = hops
        self.sent = self.dropped = self.failures = 0
        self.connected = False
        self.error = ""
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._capacity = capacity
        self._control = threading.Condition()
        self._closing: float | None = None
        self._thread = threading.Thread(target=self._work, name="irtrack-cot", daemon=True)
        self._thread.start()

    def send(self, event: bytes, keep_s: float = 60.0) -> None:
        """Hand over an event; it is sent when it can be, within `keep_s` seconds or not at all."""
        with self._control:
            if self._closing is not None:
                self.dropped += 1
                return
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((event, time.monotonic() + keep_s))
            self._control.notify_all()

    def close(self) -> None:
        """Send what waits, for a moment at most, and end the thread; may be called twice."""
        with self._control:
            if self._closing is None:
                self._closing = time.monotonic() + LEAVE_S
            self._control.notify_all()
        self._thread.join(LEAVE_S + CONNECT_S + 1.0)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        link: socket.socket | None = None
        pause_s = FIRST_PAUSE_S
        try:
            while (event := self._next()) is not None:
                try:
                    if link is not None and self._scheme == "tcp":
                        drain(link)
                    link = link or self._open()
                    link.sendall(event)
                except OSError as error:
                    self._failed(error)
                    closed(link)
                    link = None
                    self._wait(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                else:
                    pause_s = FIRST_PAUSE_S
                    self._done(event)
        finally:
            closed(link)
            self.connected = False

    def _next(self) -> bytes | None:
        """The event to send next, which stays until it was sent; None at the end."""
        with self._control:
            while True:
                now = time.monotonic()
                if self._closing is not None and (now >= self._closing or not self._waiting):
                    self.dropped += len(self._waiting)
                    self._waiting.clear()
                    return None
                while self._waiting and self._waiting[0][1] < now:
                    self._waiting.popleft()
                    self.dropped += 1
                if self._waiting:
                    return self._waiting[0][0]
                self._control.wait()

    def _done(self, event: bytes) -> None:
        """It was sent; a flood of others may have pushed it out meanwhile."""
        with self._control:
            self.sent += 1
            if self._waiting and self._waiting[0][0] is event:
                self._waiting.popleft()
            else:
                self.dropped -= 1

    def _failed(self, error: OSError) -> None:
        self.failures += 1
        self.connected = False
        text = f"{self.address}: {error.strerror or error}"
        if text != self.error:
            log.warning("CoT: %s; it is tried again", text)
        self.error = text
        if self._scheme == "udp":  # the next one may go through; this one has had its turn
            with self._control:
                if self._waiting:
                    self._waiting.popleft()
                    self.dropped += 1

    def _wait(self, seconds: float) -> None:
        """Before the next attempt, or until the end is asked for."""
        with self._control:
            until = time.monotonic() + seconds
            while (left := (min(until, self._closing) if self._closing else until) - time.monotonic()) > 0:
                self._control.wait(left)

    def _open(self) -> socket.socket:
        """A connected socket. Raises OSError."""
        kind = socket.SOCK_STREAM if self._scheme == "tcp" else socket.SOCK_DGRAM
        first: OSError | None = None
        for family, *_, where in socket.getaddrinfo(self._host, self._port, type=kind):
            link = socket.socket(family, kind)
            try:
                link.settimeout(CONNECT_S)
                if kind == socket.SOCK_STREAM:
                    watched(link)
                else:
                    grouped(link, family, str(where[0]), self._hops, self._via)
                link.connect(where)
                link.settimeout(SEND_S)
            except OSError as error:
                closed(link)
                first = first or error
            else:
                self.connected, self.error = True, ""
                return link
        raise first or OSError("the name has no address")


def parsed(address: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and what it goes by. Raises ConfigError."""
    try:
        parts = urlsplit(address)
        port, asked = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
        sound = port and asked.keys() <= {"via"} and not parts.path.strip("/")
    except ValueError:
        sound = False
    if not sound or not port or parts.scheme not in ("udp", "tcp") or not parts.hostname:
        raise ConfigError(f"{address!r} is no address for CoT: it is udp://HOST:PORT or tcp://HOST:PORT")
    return parts.scheme, parts.hostname, port, asked.get("via", [""])[0]


def watched(link: socket.socket) -> None:
    """A server that has gone without a word is noticed."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)


def grouped(link: socket.socket, family: int, address: str, hops: int, via: str) -> None:
    """Datagrams to a group may pass so many routers, and this machine hears them too. Raises OSError."""
    if not ipaddress.ip_address(address.partition("%")[0]).is_multicast:
        return
    if family == socket.AF_INET6:
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
        if via:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(via))
    else:
        link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
        link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        if via:
            link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(via))


def drain(link: socket.socket) -> None:
    """Read and forget what a server says; raises OSError where it has gone."""
    link.setblocking(False)
    try:
        while True:
            if not link.recv(65536):
                raise ConnectionResetError("the server closed the connection")
    except BlockingIOError:
        pass
    finally:
        with contextlib.suppress(OSError):
            link.settimeout(SEND_S)


def closed(link: socket.socket | None) -> None:
    """Close a socket, whatever it says."""
    if link is not None:
        with contextlib.suppress(OSError):
            link.close()
