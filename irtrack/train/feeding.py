"""Batches made ahead of the steps by other processes.

A batch is a pure function of what crops are drawn from and of its step, so it is the same whoever makes it, and when.
Processes, for crops are many small calls of NumPy, which hold the interpreter's lock: two threads made crops of 256 px
no faster than one (1.8 ms each against 1.7). They are forked where that is safe, and so see the images where they lie
in memory: only numbers of steps go to them, and only bytes come back.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing.context import BaseContext

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from irtrack.core import ConfigError, IrtrackError
from irtrack.detect.detector import usable_cores
from irtrack.detect.weights import first_words
from irtrack.stopping import SIGNALS, end_with_parent, signals_heard, signals_held
from irtrack.train.augment import Mix, training_batch
from irtrack.train.settings import TrainSettings

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Crops and masks (N, 1, size, size), as of `training_batch`."""

Packed = tuple[NDArray[np.uint8], NDArray[np.int8]]
"""The same in a quarter of the bytes: crops are on the grid of 8-bit levels, masks are whole numbers."""

AHEAD = 2
"""Batches under way for each process."""

MOST_WORKERS = 16


def workers_for(device: torch.device, asked: int | None) -> int:
    """How many processes make batches; 0 leaves that to the main thread, as on a CPU, whose cores the steps need.

    Raises ConfigError.
    """
    if asked is not None:
        if not 0 <= asked <= 256:
            raise ConfigError(f"--workers {asked} must be 0 to 256")
        return asked
    if device.type == "cpu":
        return 0
    # torchrun's: the others on this machine do the same.
    cores = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(cores - 1, MOST_WORKERS))


def batches(
    mix: Mix, positions: Sequence[int], settings: TrainSettings, steps: range, workers: int = 0
) -> Generator[Batch, None, None]:
    """The batches of `steps`, in order. All are of one `mix`: whoever changes it asks anew.

    To be closed (`contextlib.closing`): then no process is left. Raises IrtrackError where a process fails.
    """
    make = partial(batch_of, mix, positions, settings)
    if not workers:
        yield from map(make, steps)
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before forking: a fork has none of the threads that OpenCV would hand its work to
    pool = ProcessPoolExecutor(workers, context(), begin, (make,))
    try:
        ahead: deque[Future[Packed]] = deque()
        with signals_held():  # processes start here
            ahead.extend(pool.submit(packed, step) for step in steps[: AHEAD * workers])
        later = iter(steps[AHEAD * workers :])
        for step in steps:
            done = waited(ahead.popleft(), step)
            ahead.extend(pool.submit(packed, another) for another in islice(later, 1))
            yield unpacked(done)
    except BrokenProcessPool as error:  # whatever is asked of it then
        raise IrtrackError(
            "a process that makes crops was killed, perhaps for want of memory: take fewer of them (--workers)"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)


def batch_of(mix: Mix, positions: Sequence[int], settings: TrainSettings, step: int) -> Batch:
    """The crops of a step that are at these positions of its batch."""
    return training_batch(mix, positions, settings.crop, settings.augment, (settings.seed, step))


def waited(future: Future[Packed], step: int) -> Packed:
    """The result. Raises IrtrackError where making it failed, BrokenProcessPool where a process is gone."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:  # whatever went wrong there
        what = f"{type(error).__name__}: {first_words(error)}"
        raise IrtrackError(f"the crops of step {step} cannot be made ({what})") from error


def context() -> BaseContext:
    """How processes are started: by forking on Linux; elsewhere, where that is not safe, the images are sent once."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


# What follows runs in the processes.

_make: Callable[[int], Batch] | None = None


def begin(make: Callable[[int], Batch]) -> None:
    """A process starts: Ctrl-C is for the main one, which ends this one, and so does its death."""
    global _make
    _make = make
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signals_heard()
    end_with_parent()


def packed(step: int) -> Packed:
    """The batch of a step in bytes."""
    assert _make is not None
    images, masks = _make(step)
    return np.round(255 * images).astype(np.uint8), masks.astype(np.int8)


def unpacked(batch: Packed) -> Batch:
    """As it was, to the last bit: `training_batch` divides whole numbers by the same number."""
    images, masks = batch
    return images.astype(np.float32) / np.float32(255), masks.astype(np.float32)
