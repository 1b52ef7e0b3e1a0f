"""What the user should know of what was read or made: texts with counts."""

from __future__ import annotations

import threading


class Remarks:
    """What the user should know of what was read or made, where it is not quite what it seems: said once, counted.

    Shared by threads. A summary prints them; with `--strict` each makes a run end with exit code 1.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, text: str, count: int = 1) -> None:
        """Say `text`, one clear part of a line, `count` times more."""
        with self._lock:
            self._counts[text] = self._counts.get(text, 0) + count

    def take(self, other: Remarks) -> None:
        """Add those of another."""
        for text, count in other.counts().items():
            self.add(text, count)

    def counts(self) -> dict[str, int]:
        """Each text and how often it was said, in order of their first times."""
        with self._lock:
            return dict(self._counts)

    def lines(self) -> list[str]:
        """Texts with their counts where these are above one."""
        return [text if n == 1 else f"{text} ({n} times)" for text, n in self.counts().items()]

    def __bool__(self) -> bool:
        return bool(self._counts)
