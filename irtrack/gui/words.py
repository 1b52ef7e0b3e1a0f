"""What the parts of the window are given beside the session: two calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """`say`: a passing message in the status line. `error`: a line above the picture that stays."""

    say: Callable[[str], None]
    error: Callable[[str], None]
