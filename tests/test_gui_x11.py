"""The program on a virtual screen, with key presses and mouse drags of the X server; what it shows is read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import own_cache
from scipy import ndimage

from irtrack.simulate import Scene

ROOT = Path(__file__).resolve().parent.parent
SIZE = (1280, 800)
PATIENCE_S = 90.0


class Screen:
    """A virtual screen with keyboard and mouse; the server keeps its pixels in a file, in X's own format for dumps."""

    def __init__(self, folder: Path) -> None:
        self._pixels = folder / "Xvfb_screen0"
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp",
                   "-fbdir", str(folder)]  # fmt: skip
        self._server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.name = f":{pipe.readline().strip()}"

    def do(self, *words: str) -> None:
        """What xdotool does with these words."""
        subprocess.run(["xdotool", *words], env=os.environ | {"DISPLAY": self.name}, check=True, timeout=30)

    def picture(self) -> np.ndarray:  # type: ignore[type-arg]
        """What is on the screen, (H, W, 3) RGB."""
        dump = self._pixels.read_bytes()
        head = np.frombuffer(dump, ">u4", 25)
        start, width, height, line = (int(v) for v in (head[0] + 12 * head[19], head[4], head[5], head[12]))
        rows = np.frombuffer(dump, np.uint8, height * line, start).reshape(height, line // 4, 4)
        return rows[:, :width, 2::-1].astype(int)

    def close(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait(10)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    for tool in ("Xvfb", "xdotool"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: {tool.lower()})")
    made = Screen(tmp_path)
    yield made
    made.close()


def masks(picture: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Centres (N, 2) of what has the colour of masks, from left to right."""
    r, g, b = picture.transpose(2, 0, 1)
    red = (r - g > 45) & (r - b > 45) & (abs(g - b) < 25)
    labels, count = ndimage.label(red, np.ones((3, 3)))
    areas = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    large = [i + 1 for i, area in enumerate(areas) if area >= 25]
    centres = np.array(ndimage.center_of_mass(red, labels, large)).reshape(-1, 2)[:, ::-1]
    return centres[np.argsort(centres[:, 0])]


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def fitted(places: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray, float]:  # type: ignore[type-arg]
    """Scale, shift and largest error of the zoom that leads from the truth to places on the screen."""
    a, b = truth - truth.mean(0), places - places.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    shift = places.mean(0) - scale * truth.mean(0)
    return scale, shift, float(np.linalg.norm(scale * truth + shift - places, axis=1).max())


def test_a_clip_is_played_with_keys_and_mouse(screen: Screen, clip: Path, scene: Scene, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY")}
    environment |= {"DISPLAY": screen.name, "QT_QPA_PLATFORM": "xcb", "XDG_CONFIG_HOME": str(tmp_path)}
    environment["XDG_CACHE_HOME"] = own_cache(tmp_path)
    command = [sys.executable, str(ROOT / "main.py"), str(clip), "--weights", "datransnet-s", "--backend", "torch"]
    with (tmp_path / "log").open("w+") as log:
        program = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            play(screen, scene, program)
        finally:
            program.kill()
            program.wait(10)
        log.seek(0)
        assert "Traceback" not in log.read()


def play(screen: Screen, scene: Scene, program: subprocess.Popen[bytes]) -> None:
    last = scene.settings.frames - 1
    truth = scene.truth(last).xy_px
    truth = truth[np.argsort(truth[:, 0])]

    def at_last_frame() -> bool:
        places = masks(screen.picture())
        return len(places) == len(truth) and fitted(places, truth)[2] < 6

    until(at_last_frame, "the clip was not played to its end, with a mask on every target")
    time.sleep(3)  # the frame before the last looks much like it: let it come to its end, where it pauses
    scale, shift, _ = fitted(masks(screen.picture()), truth)
    assert scale > 4  # the picture fills the window
    screen.do("search", "--onlyvisible", "--name", "irtrack", "windowfocus")  # there is no window manager to do it
    first = scale * scene.truth(0).xy_px + shift

    def at_first_frame() -> bool:
        """Masks are where the first frame's targets are."""
        places = masks(screen.picture())
        return len(places) > 0 and bool(np.linalg.norm(first[:, None] - places, axis=2).min(0).max() < 8)

    assert not at_first_frame()
    screen.do("key", "Home")
    until(at_first_frame, "Home did not go to the start, or its masks are not in their places")
    screen.do("key", "End")
    until(at_last_frame, "End did not go to the end")
    before = masks(screen.picture())
    x, y = (round(v) for v in scale * np.array([48, 70]) + shift)
    screen.do("mousemove", str(x), str(y), "mousedown", "1")
    for step in range(1, 7):
        screen.do("mousemove", str(x + 10 * step), str(y - 5 * step))
    screen.do("mouseup", "1")

    def moved() -> bool:
        places = masks(screen.picture())
        return len(places) == len(before) and bool(np.abs(places - before - (60, -30)).max() < 4)

    until(moved, "the picture did not follow the mouse")
    screen.do("key", "f")
    until(at_last_frame, "F did not fit the picture")
    screen.do("key", "ctrl+q")
    assert program.wait(20) == 0
