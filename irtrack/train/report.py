"""An evaluation as files: a table of images, a plot of the threshold sweep and the ROC, a sheet of the worst images."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from irtrack.sinks.figure import new_figure, save_figure
from irtrack.sinks.target import write_output
from irtrack.train.data import Sample
from irtrack.train.evaluation import Evaluation
from irtrack.train.journal import panel


def write_table(evaluation: Evaluation, path: Path) -> None:
    """One row for each image. Raises SinkError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(evaluation.table[0]))
    writer.writeheader()
    writer.writerows(evaluation.table)
    write_output(path, text.getvalue())


def write_plot(evaluation: Evaluation, title: str, path: Path) -> None:
    """IoU, Pd and Fa against the threshold, and the ROC; `path` as of `check_figure`. Raises SinkError."""
    figure = new_figure(11, 4.2)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    rows = evaluation.sweep.table()
    at = [r["threshold"] for r in rows]
    for key, colour in (("IoU", "tab:blue"), ("nIoU", "tab:cyan"), ("Pd", "tab:green")):
        left.plot(at, [r[key] for r in rows], "o-", ms=3, color=colour, label=key)
    left.axvline(evaluation.threshold, color="grey", lw=0.8, ls=":")
    left.set(xlabel="threshold", ylabel="percent", ylim=(0, 101))
    alarms = left.twinx()
    alarms.plot(at, [max(r["Fa_1e-6"], 0.1) for r in rows], "s--", ms=3, color="tab:red", label="Fa")
    alarms.set(ylabel="Fa (1e-6)", yscale="log")
    lines = [*left.get_lines()[:3], *alarms.get_lines()]
    left.legend(lines, ["IoU", "nIoU", "Pd", "Fa (right)"], loc="lower left")
    left.grid(alpha=0.3)
    false, true = evaluation.roc.curve()
    right.plot(np.maximum(false, 1e-8), true, color="tab:blue")
    right.set(xscale="log", xlim=(1e-7, 1), ylim=(0, 1.01), xlabel="false positive rate of pixels")
    right.set(ylabel="true positive rate of pixels", title=f"ROC, area {evaluation.roc.auc():.5f}")
    right.grid(alpha=0.3)
    save_figure(figure, path)


def write_worst(
    evaluation: Evaluation,
    samples: Sequence[Sample],
    network: Callable[[Tensor], Tensor],
    device: str,
    path: Path,
    count: int = 12,
) -> None:
    """The worst images in two columns: truth in green, found in red, score map; the name on each. `path` as of
    `check_picture`. Raises SinkError."""
    by_name = {s.name: s for s in samples}
    pictures = []
    for name in evaluation.worst(count):
        row = panel(network, [by_name[name]], device)
        cv2.putText(row, name, (4, row.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1, cv2.LINE_AA)
        pictures.append(row)
    if len(pictures) % 2:
        pictures.append(np.zeros_like(pictures[0]))
    sheet = [np.concatenate(pictures[i : i + 2], 1) for i in range(0, len(pictures), 2)]
    write_output(path, cv2.imencode(path.suffix.lower(), np.concatenate(sheet))[1].tobytes())
