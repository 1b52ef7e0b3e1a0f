"""What a run leaves to be read: log.csv, TensorBoard events, panels of validation images as PNG."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from irtrack.train.data import Sample
from irtrack.train.evaluation import score_of


class Journal:
    """Logs of a run in `folder`. TensorBoard is written where it is installed (`pip install 'irtrack[train]'`)."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self._board: Any = None
        trim_log(folder / "log.csv", step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print("note: no TensorBoard log, for want of the package (pip install 'irtrack[train]')", flush=True)
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Into TensorBoard."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name.replace(" ", "/"), value, step)

    def validation(self, step: int, row: Mapping[str, float]) -> None:
        """A row of log.csv."""
        append_row(self.folder / "log.csv", {"step": step, **row})
        self.scalars(step, row)

    def panel(self, step: int, picture: NDArray[np.uint8]) -> None:
        """A picture of what the network sees, `panels/STEP.png`."""
        (self.folder / "panels").mkdir(exist_ok=True)
        cv2.imwrite(str(self.folder / "panels" / f"{step:06d}.png"), picture)
        if self._board is not None:
            self._board.add_image("validation", picture[..., ::-1], step, dataformats="HWC")

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row to a CSV file, with a header when it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def trim_log(path: Path, step: int) -> None:
    """Forget rows past `step`: a run that was killed after a validation and before a save makes them again."""
    if not path.exists():
        return
    header, *rows = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    steps = (r.partition(",")[0] for r in rows)
    kept = [r for r, at in zip(rows, steps, strict=True) if at.isdecimal() and int(at) <= step]
    if len(kept) < len(rows):
        path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    if not kept:
        path.unlink()


def tile(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) scaled into a square of `side`, on black."""
    h, w = picture.shape[:2]
    scale = side / max(h, w)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(picture, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=how)
    out = np.zeros((side, side, 3), np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    return out


def outlined(image: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A grey picture in colour with a line around each component, two pixels away so that it hides nothing."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, 1)
    return np.asarray(picture, np.uint8)


def panel(
    network: Callable[[Tensor], Tensor], samples: Sequence[Sample], device: str, side: int = 256
) -> NDArray[np.uint8]:
    """A row for each image: the image with the truth in green, with what was found in red, the score map."""
    rows = []
    for s in samples:
        score = score_of(network, s, device)
        heat = cv2.cvtColor(np.round(255 * score).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        pictures = (outlined(s.levels, s.mask, (0, 200, 0)), outlined(s.levels, score > 0.5, (0, 0, 255)), heat)
        rows.append(np.concatenate([tile(np.asarray(p, np.uint8), side) for p in pictures], 1))
    return np.concatenate(rows)
