"""Learning from what was said of tracks: in a program of its own, with its progress, and a choice at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PySide6.QtCore import QObject, QProcess, Qt
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from irtrack.core import IrtrackError
from irtrack.gui.dialogs import TextDialog, agreed
from irtrack.gui.progress import ProgressRow
from irtrack.gui.theme import ACCENT, DIM
from irtrack.session.keeping import Keeping
from irtrack.session.learning import Lesson, steps_of, why_failed
from irtrack.session.session import Session

FIGURES = {"Pd": "targets found, %", "false_objects_per_image": "false detections a frame", "IoU": "masks, IoU in %"}


TOLD = 4096
"""Of what the program says, so many letters are looked at: the newest."""


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
        self.lesson: Lesson | None = None
        """What is being learned, or was learned and is neither used nor dropped yet."""
        self._said, self._stopped = "", False

    def start(self) -> None:
        """Begin, if there is something to learn from and nothing is being learned."""
        try:
            if self.lesson is not None:
                raise IrtrackError("something is being learned: wait for it, or cancel it")
            self.lesson = Lesson.of(self._session, self._keeping)
        except IrtrackError as error:
            self._session.failed(str(error))
            return
        self._said, self._stopped = "", False
        self.process = QProcess(self)
        self.process.readyReadStandardOutput.connect(self._read)
        self.process.finished.connect(self._finished)
        self.process.errorOccurred.connect(self._failed)
        self.progress.show_progress("learning", 0, 0)
        program, *words = self.lesson.command(self.options)
        self.process.start(program, words)

    def _read(self) -> None:
        if self.process is not None:
            more = bytes(self.process.readAllStandardOutput().data()).decode(errors="replace")
            self._said = (self._said + more)[-TOLD:]
            step, steps = steps_of(self._said)
            if steps and step == steps:
                self.progress.show_progress("comparing", 0, 0)
            else:
                self.progress.show_progress("learning", step, steps)

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._end()
            self._drop()
            self._session.failed("the program that learns cannot be started")

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process = self.process
        why = bytes(process.readAllStandardError().data()).decode(errors="replace") if process is not None else ""
        self._end()
        if self._stopped:
            self._drop()
            self._session.said("gave up learning")
        elif code or status is QProcess.ExitStatus.CrashExit:
            self._drop()
            self._session.failed(why_failed(why))
        elif self.lesson is not None:
            try:
                self._ask(self.lesson.compared())
            except IrtrackError as error:
                self._session.failed(str(error))
                self.lesson = None

    def _ask(self, compared: Mapping[str, Any]) -> None:
        """Whether the new weights are to be used. It comes while something else is being done: a key that was meant for
        that only keeps them."""
        dialog = TextDialog(self._parent, "Learned", table_of(compared), Qt.TextFormat.RichText)
        buttons, role = QDialogButtonBox(), QDialogButtonBox.ButtonRole
        buttons.addButton("Use the new weights", role.AcceptRole)
        drop = buttons.addButton("Drop them", role.DestructiveRole)
        later = buttons.addButton("Keep them for later", role.RejectRole)
        later.setDefault(True)
        dialog.rows.addWidget(buttons)
        later.setFocus()

        def answer(keep: bool) -> None:
            self.decide(keep)
            dialog.close()

        buttons.accepted.connect(lambda: answer(True))
        drop.clicked.connect(lambda _=False: answer(False))
        buttons.rejected.connect(dialog.close)
        dialog.rejected.connect(lambda: self.decide(None))  # closed in whatever way, and nothing is decided yet
        dialog.open()

    def decide(self, keep: bool | None) -> None:
        """Use the new weights, delete them, or, with None, only keep them."""
        lesson, self.lesson = self.lesson, None
        if lesson is None:
            return
        if keep is False:
            lesson.drop()
            self._session.said("the new weights are dropped")
            return
        self._session.remember_model(str(lesson.weights))
        if keep:
            self._session.choose(weights=str(lesson.weights))
        then = "Analyse again uses them" if keep else "they are in the list of models"
        self._session.said(f"the new weights are in {lesson.out}; {then}")

    def may_close(self) -> bool:
        """Whether the window may be closed: while something is being learned, that is asked."""
        if self.process is None:
            return True
        text = f"Something is still being learned ({self.progress.label.text()}). Give it up and close?"
        return agreed(self._parent, text)

    def stop(self) -> None:
        """Give it up."""
        self._stopped = True
        if self.process is not None:
            self.process.kill()
            self.process.waitForFinished(5000)

    def _drop(self) -> None:
        lesson, self.lesson = self.lesson, None
        if lesson is not None:
            lesson.drop()

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
