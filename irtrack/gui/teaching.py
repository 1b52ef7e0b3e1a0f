"""Learning from what was said of tracks: in a program of its own, with its progress, and a choice at the end."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import platformdirs
from PySide6.QtCore import QObject, QProcess, Qt, QTimer
from PySide6.QtWidgets import QMessageBox, QWidget

from irtrack.gui.progress import ProgressRow
from irtrack.gui.theme import ACCENT, DIM
from irtrack.session.export import new_name
from irtrack.session.keeping import Keeping, file_stem
from irtrack.session.session import Session

STEP = re.compile(r"step (\d+)/(\d+)")
KEPT_MS = 1500
"""What was said last is in the session's file after this."""

FIGURES = {"Pd": "targets found, %", "false_objects_per_image": "false detections a frame", "IoU": "masks, IoU in %"}


class Teaching(QObject):
    """`irtrack teach` on the open session."""

    def __init__(self, session: Session, keeping: Keeping, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._keeping, self._parent = session, keeping, parent
        self.options: tuple[str, ...] = ()
        """More of them for the program."""
        self.progress = ProgressRow("Learning", "Give up learning")
        self.progress.cancel.clicked.connect(self.stop)
        self.process: QProcess | None = None
        self._out = Path()
        self._said, self._stopped = "", False

    def start(self) -> None:
        """Begin, if there is something to learn from and nothing is being learned."""
        edits = self._session.edits.value
        if self.process is not None:
            self._session.failed("something is being learned: wait for it, or cancel it")
        elif self._keeping.file is None or not (edits.verdicts or edits.added):
            self._session.failed("say first what tracks are (Alt+1 to 6), or add targets that were missed (A)")
        else:
            self._said, self._stopped = "", False
            self.process = QProcess(self)
            self.process.readyReadStandardOutput.connect(self._read)
            self.process.finished.connect(self._finished)
            self.process.errorOccurred.connect(self._failed)
            self.progress.show_progress("learning", 0, 0)
            QTimer.singleShot(KEPT_MS, self._run)

    def _run(self) -> None:
        opened, file = self._session.opened, self._keeping.file
        if self.process is None or opened is None or file is None:
            self._end()
            return
        folder = file.path.parent
        if not self._keeping.chosen:  # not among the sessions of the data folder
            folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "learnt"
        self._out = new_name(folder, f"{file_stem(opened.text)}-learnt", "")
        words = ["-m", "irtrack", "teach", str(file.path), "--out", str(self._out), *self.options]
        self.process.start(sys.executable, words)

    def _read(self) -> None:
        if self.process is not None:
            self._said += bytes(self.process.readAllStandardOutput().data()).decode(errors="replace")
            steps = STEP.findall(self._said)
            if steps:
                self.progress.show_progress("learning", *map(int, steps[-1]))

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._session.failed("the program that learns cannot be started")
            self._end()

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process = self.process
        why = bytes(process.readAllStandardError().data()).decode(errors="replace") if process is not None else ""
        self._end()
        if self._stopped:
            shutil.rmtree(self._out, ignore_errors=True)
            self._session.said("gave up learning")
        elif code or status is QProcess.ExitStatus.CrashExit:
            lines = [line.removeprefix("irtrack: ") for line in why.splitlines() if line.startswith("irtrack: ")]
            self._session.failed(lines[-1] if lines else "the program that learns broke off")
        else:
            compared = json.loads((self._out / "compared.json").read_text(encoding="utf-8"))
            self.decide(self._ask(compared))

    def _ask(self, compared: Mapping[str, Any]) -> bool:
        """Whether the new weights are to be used."""
        box = QMessageBox(self._parent)
        box.setWindowTitle("Learned")
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(table_of(compared))
        keep = box.addButton("Use the new weights", QMessageBox.ButtonRole.AcceptRole)
        box.addButton("Drop them", QMessageBox.ButtonRole.DestructiveRole)
        box.exec()
        return box.clickedButton() is keep

    def decide(self, keep: bool) -> None:
        """Use the new weights, or delete them."""
        if keep:
            self._session.choose(weights=str(self._out / "best.pt"))
            self._session.said(f"the new weights are in {self._out}; Analyse again uses them")
        else:
            shutil.rmtree(self._out, ignore_errors=True)

    def stop(self) -> None:
        """Give it up."""
        self._stopped = True
        if self.process is not None and self.process.state() is QProcess.ProcessState.NotRunning:
            self._end()  # it had not begun
        elif self.process is not None:
            self.process.kill()
            self.process.waitForFinished(5000)

    def _end(self) -> None:
        process, self.process = self.process, None
        self.progress.hide()
        if process is not None:
            process.deleteLater()


def table_of(compared: Mapping[str, Any]) -> str:
    """Before and after: on frames that were not learned from, on rendered scenes, and what the model came with."""
    before, after, rendered = compared["before"], compared["after"], compared["rendered"]
    was, now = rendered["before"], rendered["after"]
    found, false = "Pd", "false_objects_per_image"
    parts = [
        heading(f"On {compared['frames']} frames of this recording that were not learned from"),
        table(("", "before", "now"), [(text, before[name], after[name]) for name, text in FIGURES.items()]),
        heading("On rendered scenes: does it still know other things?"),
        *(f"<p style='color: {ACCENT}'><b>Warning:</b> {escape(text)}</p>" for text in rendered["warnings"]),
        table(
            ("", "found, % before", "now", "false a picture before", "now"),
            [(k, was[k].get(found), now[k].get(found), was[k][false], now[k][false]) for k in was],
        ),
    ]
    if known := [(name, figures[found], figures[false]) for name, figures in compared["shipped"].items()]:
        parts += [
            heading(f"{compared['weights']} as it came, on validation images that are not here"),
            table(("", "found, %", "false a picture"), known),
        ]
    return "".join(parts)


def heading(text: str) -> str:
    """A line above a table."""
    return f"<p><b>{escape(text)}</b></p>"


def table(names: Sequence[str], rows: Iterable[tuple[str, *tuple[float | None, ...]]]) -> str:
    """Figures under their names."""
    lines = "".join(f"<tr><td>{escape(text)}</td>{''.join(map(cell, values))}</tr>" for text, *values in rows)
    head = "".join(f"<td align=right style='color: {DIM}'>{escape(name)}</td>" for name in names)
    return f"<table width=560 cellspacing=0 cellpadding=2><tr>{head}</tr>{lines}</table>"


def cell(value: float | None) -> str:
    """A figure, or that there is none."""
    return f"<td align=right>{'-' if value is None else f'{value:.2f}'}</td>"
