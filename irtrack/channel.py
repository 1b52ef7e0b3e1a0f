"""A bounded, closable hand-off between two threads.

One class serves both needs: a blocking queue for recordings (every item arrives) and, with `drop_oldest`, a live queue
or a display mailbox (the latest item wins and drops are counted).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The channel is closed and, for `get`, empty."""


class Channel(Generic[T]):
    """FIFO of at most `capacity` items between any number of threads."""

    def __init__(self, capacity: int, drop_oldest: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._items: deque[T] = deque()
        self._capacity, self._drop_oldest = capacity, drop_oldest
        self._condition = threading.Condition()
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items pushed out by newer ones so far."""
        return self._dropped

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        """Add an item; waits for room, or drops the oldest. Raises Closed, also while waiting."""
        with self._condition:
            if self._drop_oldest:
                while len(self._items) >= self._capacity and not self._closed:
                    self._items.popleft()
                    self._dropped += 1
            else:
                self._condition.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._condition.notify_all()

    def offer(self, item: T, beyond: bool = False) -> bool:
        """Add an item if there is room for it, or `beyond` that; whether it was added. Raises Closed."""
        with self._condition:
            if self._closed:
                raise Closed
            if len(self._items) >= self._capacity and not beyond:
                return False
            self._items.append(item)
            self._condition.notify_all()
            return True

    def get(self, timeout: float | None = None) -> T:
        """The oldest item; waits for one. Raises Closed once closed and empty, TimeoutError after `timeout` seconds."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._closed or bool(self._items), timeout):
                raise TimeoutError
            if not self._items:
                raise Closed
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    def poll(self) -> T | None:
        """The oldest item, or None at once."""
        with self._condition:
            if not self._items:
                return None
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    def close(self, discard: bool = False) -> None:
        """Wake both sides; with `discard`, what is inside is lost, otherwise it can still be taken out."""
        with self._condition:
            self._closed = True
            if discard:
                self._items.clear()
            self._condition.notify_all()
