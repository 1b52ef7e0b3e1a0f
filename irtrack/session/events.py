"""Choices that tell of their changes. Frames do not go this way: they wait to be asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Event(Generic[P]):
    """Something that happens: whoever is connected is called, in order, in the thread in which it happens."""

    def __init__(self) -> None:
        self._calls: list[Callable[P, object]] = []

    def connect(self, call: Callable[P, object]) -> None:
        """Have `call` called each time."""
        self._calls.append(call)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for call in tuple(self._calls):
            call(*args, **kwargs)


class Choice(Generic[T]):
    """A value that the operator chooses; `changed` tells the new one, once for each change."""

    def __init__(self, value: T) -> None:
        self._value = value
        self.changed: Event[[T]] = Event()

    @property
    def value(self) -> T:
        """As it is now."""
        return self._value

    def set(self, value: T) -> None:
        """Choose; nothing happens where it is the same."""
        if value != self._value:
            self._value = value
            self.changed(value)

    def change(self, **values: object) -> None:
        """Of a frozen dataclass: choose these of its values, and leave the others."""
        self.set(replace(self._value, **values))  # type: ignore[type-var]
