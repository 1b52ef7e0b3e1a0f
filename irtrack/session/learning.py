"""Learning from what was said of tracks, without a window: what is run, where it goes, and what came of it.

`irtrack teach` learns, in a program of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from irtrack.core import IrtrackError
from irtrack.session.export import new_name
from irtrack.session.keeping import Keeping, file_stem
from irtrack.session.session import Session

STEP = re.compile(r"step (\d+)/(\d+)")
WEIGHTS, COMPARED = "best.pt", "compared.json"
"""What learning leaves in its folder: the new weights, and how they compare with those before."""


@dataclass(frozen=True)
class Lesson:
    """What is to be learned from, and the folder for what comes of it."""

    file: Path
    out: Path

    @staticmethod
    def of(session: Session, keeping: Keeping) -> Lesson:
        """From the open session; all that was said is in its file by then. Raises IrtrackError where there is nothing
        to learn from."""
        edits, opened = session.edits.value, session.opened
        judged = (edits.verdicts.keys() | edits.by_hand) & session.lives().keys()
        if opened is None or not judged:
            raise IrtrackError("say first what tracks are (Alt+1 to 6), or add targets that were missed (A)")
        if session.live:
            raise IrtrackError("a camera's pictures are not kept: record it (Ctrl+R), and learn from the recording")
        session.saving()
        if keeping.file is None or not keeping.file.path.exists():
            raise IrtrackError("what you said could not be written, so that nothing can be learned from it")
        folder = keeping.file.path.parent
        if not keeping.chosen:  # not among the sessions of the data folder
            folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "learnt"
        return Lesson(keeping.file.path, new_name(folder, f"{file_stem(opened.text)}-learnt", ""))

    def command(self, options: Sequence[str] = ()) -> list[str]:
        """The program and its options."""
        return [sys.executable, "-m", "irtrack", "teach", str(self.file), "--out", str(self.out), *options]

    @property
    def weights(self) -> Path:
        """Those that were learned."""
        return self.out / WEIGHTS

    def compared(self) -> dict[str, Any]:
        """Before and after. Raises IrtrackError where that cannot be read."""
        try:
            compared: dict[str, Any] = json.loads((self.out / COMPARED).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise IrtrackError(f"what was learned cannot be read: {error}") from error
        return compared

    def drop(self) -> None:
        """What came of it goes."""
        shutil.rmtree(self.out, ignore_errors=True)


def steps_of(said: str) -> tuple[int, int]:
    """The step that it has come to and how many there are, by what it said; 0 where it has not begun."""
    steps = STEP.findall(said)
    return (int(steps[-1][0]), int(steps[-1][1])) if steps else (0, 0)


def why_failed(errors: str) -> str:
    """One line of what the program said before it ended."""
    lines = [line.removeprefix("irtrack: ") for line in errors.splitlines() if line.startswith("irtrack: ")]
    return f"nothing was learned: {lines[-1] if lines else 'the program that learns broke off'}"


def model_text(weights: str) -> str:
    """What a model is called: of those that come with irtrack its name, of others their file's, with that of the folder
    where training gave it the file's."""
    path = Path(weights)
    return f"{path.parent.name}/{path.name}" if path.name in (WEIGHTS, "last.pt") and path.parent.name else path.name


def model_about(weights: str) -> str:
    """What a model of one's own is, where that is known: its file, and from what it was learned."""
    try:
        compared: Mapping[str, Any] = json.loads((Path(weights).parent / COMPARED).read_text(encoding="utf-8"))
        before, after = (float(compared[when]["Pd"]) for when in ("before", "after"))
        return (
            f"{weights}\nlearned from {compared['session']}, on from {compared['weights']}; of the targets in "
            f"{compared['frames']} frames that it did not see it finds {after:.0f} %, {before:.0f} % were found before"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return weights
