"""The hand-off between two threads."""

from __future__ import annotations

import threading

import pytest

from irtrack.channel import Channel, Closed


def test_every_item_in_order() -> None:
    channel: Channel[int] = Channel(3)
    got: list[int] = []

    def take() -> None:
        try:
            while True:
                got.append(channel.get())
        except Closed:
            pass

    thread = threading.Thread(target=take, name="irtrack-test")
    thread.start()
    for i in range(500):
        channel.put(i)
    channel.close()
    thread.join(5)
    assert got == list(range(500))
    assert channel.dropped == 0


def test_latest_wins() -> None:
    channel: Channel[int] = Channel(1, drop_oldest=True)
    for i in range(10):
        channel.put(i)
    assert channel.get() == 9
    assert channel.dropped == 9
    assert channel.poll() is None


def test_close_wakes_both_sides() -> None:
    for side in ("put", "get"):
        channel: Channel[int] = Channel(1)
        if side == "put":
            channel.put(0)
        ended: list[type[BaseException]] = []

        def wait(channel: Channel[int] = channel, side: str = side, ended: list[type[BaseException]] = ended) -> None:
            try:
                channel.put(1) if side == "put" else channel.get()
            except Closed as error:
                ended.append(type(error))

        thread = threading.Thread(target=wait, name="irtrack-test")
        thread.start()
        channel.close(discard=True)
        thread.join(5)
        assert ended == [Closed]


def test_close_keeps_or_discards() -> None:
    for discard in (False, True):
        channel: Channel[int] = Channel(4)
        channel.put(1)
        channel.close(discard)
        if not discard:
            assert channel.get() == 1
        with pytest.raises(Closed):
            channel.get()
        with pytest.raises(Closed):
            channel.put(2)


def test_get_times_out() -> None:
    with pytest.raises(TimeoutError):
        Channel[int](1).get(timeout=0.01)
