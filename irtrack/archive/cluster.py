"""The Dask cluster that does the work: workers of this machine, or any cluster by its address."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from irtrack.core import ConfigError, IrtrackError
from irtrack.stopping import TERMINAL_SIGNALS, signals_held
from irtrack.text import one_line

if TYPE_CHECKING:
    from distributed import Client

REACH_S = 10
"""A scheduler that has not answered by then is not there."""

LOCAL = "local"
ADDRESSES = ("tcp://", "tls://", "ws://", "wss://", "ucx://")


@contextmanager
def cluster(address: str, workers: int, heard: bool) -> Iterator[Client]:
    """A client of a cluster. `address`: `local`, or a scheduler's. `workers`: of a local one, a process each.
    `heard`: whether Dask's own messages may be seen. Raises IrtrackError.
    """
    check_address(address)
    if not heard:  # a worker that ends or a scheduler that is gone is said by irtrack, in a line
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    try:
        import distributed
    except ImportError:
        raise IrtrackError("an archive needs Dask and Arrow: pip install 'irtrack[archive]'") from None
    if not heard:
        for name in ("distributed", "distributed.client", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    client: Client
    try:
        if address == LOCAL:
            # Nobody else on this machine may give these workers orders: what they are sent is code.
            with unheard(), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # another cluster has the port of Dask's own pages
                made = distributed.LocalCluster(
                    workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", security=True,
                    silence_logs=logging.CRITICAL,
                )  # fmt: skip
            client = distributed.Client(made, set_as_default=False)
        else:
            made = None
            client = distributed.Client(address, timeout=REACH_S, set_as_default=False)
    except (OSError, ValueError, ImportError, RuntimeError) as error:  # the last: a worker was ended while it started
        where = "workers cannot be started here" if address == LOCAL else f"no Dask scheduler answers at {address}"
        raise IrtrackError(f"{where}: {one_line(error)}") from error
    try:
        yield client
    finally:
        with suppress(Exception):  # all that matters is in files by now
            client.close(timeout=REACH_S)
        if made is not None:
            with suppress(Exception):
                made.close(timeout=REACH_S)


@contextmanager
def unheard() -> Iterator[None]:
    """What a terminal asks of all its processes is heard by this one alone, and not by those that are started, which it
    ends itself."""
    with signals_held(TERMINAL_SIGNALS):
        if os.name == "posix":
            resource_tracker.ensure_running()  # which else is started later, by a thread, and lets it hear again
        with signals_held(TERMINAL_SIGNALS):
            yield


def check_address(address: str) -> None:
    """Raises ConfigError for what is no address of a scheduler."""
    if address != LOCAL and not address.startswith(ADDRESSES):
        raise ConfigError(f"--cluster {address}: it is local, or the address of a Dask scheduler: tcp://HOST:8786")
