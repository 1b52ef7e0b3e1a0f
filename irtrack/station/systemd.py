"""What a service tells systemd: that it is ready, that all is well, that it ends. Elsewhere nothing happens.

See sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Tells systemd, where it started this process."""

    def __init__(self) -> None:
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        wanted, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        ours = wanted.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog_s = int(wanted) / 1e6 if ours else 0.0
        """Longest silence that systemd accepts; 0: it does not watch."""
        self._due = 0.0

    def say(self, *lines: str) -> None:
        """READY=1, STATUS=... and so on."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto("\n".join(lines).encode(), self._address)

    def reloading(self) -> None:
        """Settings are taken over now; READY=1 follows."""
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def ping(self) -> None:
        """All is well; said three times as often as is asked for."""
        if self.watchdog_s and time.monotonic() >= self._due:
            self._due = time.monotonic() + self.watchdog_s / 3
            self.say("WATCHDOG=1")
