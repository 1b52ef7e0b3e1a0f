"""Cameras of this machine, with a stand-in for OpenCV's device: order of settings, 16-bit buffers, telemetry, loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from irtrack.capture import camera as module
from irtrack.capture import open_source
from irtrack.capture.camera import find_cameras, formats_of, parse
from irtrack.cli import main
from irtrack.core import SourceError

Y16 = cv2.VideoWriter.fourcc(*"Y16 ")
YUYV = cv2.VideoWriter.fourcc(*"YUYV")


class Device:
    """What cv2.VideoCapture does, as far as it is used: setting the format turns conversion on again, as in V4L2."""

    pictures: list[Any]
    size = (160, 120)

    def __init__(self, device: int | str) -> None:
        self.set_in_order: list[int] = []
        self.values: dict[int, float] = {cv2.CAP_PROP_CONVERT_RGB: 1, cv2.CAP_PROP_FPS: 9.0}
        self.open, self.left = device != 9, list(self.pictures)
        Device.last = self

    last: Device

    def isOpened(self) -> bool:  # noqa: N802 - the library's name
        return self.open

    def set(self, key: int, value: float) -> bool:
        self.set_in_order.append(key)
        self.values[key] = value
        if key == cv2.CAP_PROP_FOURCC:
            self.values[cv2.CAP_PROP_CONVERT_RGB] = 1
        return True

    def get(self, key: int) -> float:
        width, height = self.size
        return {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height}.get(key, self.values.get(key, 0.0))

    def grab(self) -> bool:
        return bool(self.left)

    def retrieve(self) -> tuple[bool, Any]:
        return (True, self.left.pop(0)) if self.left else (False, None)

    def release(self) -> None:
        self.open = False


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    monkeypatch.setattr(module.cv2, "VideoCapture", Device)
    Device.size = (160, 120)
    return Device


def raw(height: int = 120, width: int = 160) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(2).integers(7000, 9000, (height, width)).astype("<u2")


def as_bytes(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return image.view(np.uint8).reshape(1, -1)


@pytest.mark.parametrize("form", ["counts", "bytes", "pairs"])
def test_counts_come_through_whatever_shape_opencv_gives(device: type[Device], form: str) -> None:
    image = raw()
    shaped = {"counts": image, "bytes": as_bytes(image), "pairs": image.view(np.uint8).reshape(120, 160, 2)}[form]
    device.pictures = [shaped] * 3
    source = open_source("camera:0,format=y16,size=160x120,fps=9")
    assert source.live
    assert source.info.bits == 16
    assert Device.last.values[cv2.CAP_PROP_FOURCC] == Y16
    assert Device.last.values[cv2.CAP_PROP_CONVERT_RGB] == 0  # set behind the format, or it would be lost
    assert np.array_equal(next(iter(source)).image, image)
    source.close()
    assert not Device.last.isOpened()


def test_rows_of_telemetry_are_cut_off(device: type[Device]) -> None:
    image = raw(122)
    device.size, device.pictures = (160, 122), [as_bytes(image)] * 2
    source = open_source("camera:0,format=Y16")
    assert (source.info.width, source.info.height) == (160, 120)
    assert np.array_equal(next(iter(source)).image, image[:120])


def test_p2_pro_counts_are_the_lower_half(device: type[Device]) -> None:
    image = raw(384, 256)
    device.size, device.pictures = (256, 384), [image.view(np.uint8).reshape(384, 256, 2)] * 2
    source = open_source("camera:0,format=P2PRO")
    assert Device.last.values[cv2.CAP_PROP_FOURCC] == YUYV
    assert np.array_equal(next(iter(source)).image, image[192:])


def test_colour_cameras_give_grey(device: type[Device]) -> None:
    device.pictures = [np.full((48, 64, 3), (10, 20, 200), np.uint8)] * 2
    source = open_source("camera:0")
    assert source.info.bits == 8
    assert Device.last.set_in_order == []
    assert next(iter(source)).image[0, 0] == round(0.299 * 200 + 0.587 * 20 + 0.114 * 10)


@pytest.mark.parametrize(
    ("text", "pictures", "line"),
    [
        ("camera:9", [], "is not there or in use"),
        ("camera:0", [], "sends no picture"),
        ("camera:0,format=Y16", [np.zeros((120, 160, 3), np.uint8)], "does not give Y16, only colour"),
        ("camera:0,format=Y16", [np.zeros((1, 1001), np.uint8)], "no rows of 160 samples"),
        ("camera:0,colour=red", [], "is no option of a camera"),
        ("camera:0,size=big", [], "is no option of a camera"),
        ("camera:nowhere", [], "there is no camera 'nowhere'"),
    ],
)
def test_what_is_wrong_is_one_line(device: type[Device], text: str, pictures: list[Any], line: str) -> None:
    device.pictures = pictures
    with pytest.raises(SourceError, match=line) as caught:
        open_source(text)
    assert "\n" not in str(caught.value)


def test_a_pulled_cable_is_noticed(device: type[Device]) -> None:
    device.pictures = [raw()] * 4
    source = open_source("camera:0,format=Y16")
    with pytest.raises(SourceError, match="was lost after 3 frames"):
        list(source)


def test_options() -> None:
    options = parse("camera:1,format=y16,size=320x256,fps=8.7")
    assert (options.device, options.format, options.size, options.fps) == (1, "Y16", (320, 256), 8.7)


def test_cameras_of_the_kernels_list(tmp_path: Path) -> None:
    for number, index in ((0, 0), (1, 1), (2, 0)):
        node = tmp_path / f"video{number}"
        node.mkdir()
        (node / "name").write_text("PureThermal 2\n" if number < 2 else "Webcam\n")
        (node / "index").write_text(f"{index}\n")
    found = find_cameras(tmp_path)
    assert [(c.source, c.name) for c in found] == [("camera:0", "PureThermal 2"), ("camera:2", "Webcam")]
    assert formats_of(tmp_path / "video0") == []


def test_cameras_command_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("camera:") or "no camera is plugged in" in out
