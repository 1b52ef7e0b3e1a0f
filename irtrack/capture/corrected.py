"""A source whose frames are corrected before anybody sees them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import platformdirs

from irtrack.capture.address import address_of
from irtrack.capture.wrapped import WrappedSource
from irtrack.config import CaptureSettings
from irtrack.core import Frame, Image, Source, SourceError, frozen
from irtrack.imaging.correction import destriped, load_correction


def correction_path(source: str) -> Path:
    """Where the correction of a camera is kept: by its SOURCE text without options and secrets, or its `info.key`."""
    address = address_of(source)
    text = address.key if address is not None else source.split(",")[0]
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_")
    return Path(platformdirs.user_config_dir("irtrack", appauthor=False)) / "corrections" / f"{name}.npz"


class CorrectedSource(WrappedSource):
    """Every frame of a source, through `steps` in order."""

    def __init__(
        self, source: Source, steps: list[Callable[[Image], Image]], shape: tuple[int, ...] | None = None
    ) -> None:
        """`shape`: what the steps are for, if that is not any picture."""
        super().__init__(source)
        self._steps, self._shape = steps, shape

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            image = frame.image
            if self._shape is not None and image.shape != self._shape:
                raise SourceError(
                    f"{self.info.name} now sends {image.shape[1]}x{image.shape[0]} pixels, and the correction is "
                    f"for {self._shape[1]}x{self._shape[0]}: make one for it with irtrack flat"
                )
            for step in self._steps:
                image = step(image)
            yield replace(frame, image=frozen(image))


def corrected(source: Source, settings: CaptureSettings) -> Source:
    """The source with the corrections that are asked for; closes it and raises where one does not fit."""
    steps: list[Callable[[Image], Image]] = []
    shape: tuple[int, ...] | None = None
    try:
        if settings.correction:
            own = settings.correction == "camera"
            correction = load_correction(
                correction_path(source.info.key or source.info.name) if own else Path(settings.correction)
            )
            height, width = correction.offset.shape
            if (width, height) != (source.info.width, source.info.height):
                raise SourceError(
                    f"the correction is for {width}x{height} pixels, {source.info.name} has {source.info.width}x"
                    f"{source.info.height}: make one for it with irtrack flat"
                )
            steps.append(correction)
            shape = correction.offset.shape
    except BaseException:
        source.close()
        raise
    if settings.destripe:
        steps.append(destriped)
    return CorrectedSource(source, steps, shape) if steps else source
