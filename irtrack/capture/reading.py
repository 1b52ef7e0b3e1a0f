"""Reading what others wrote: the one place where errors of parsers become a line, and where sizes are bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irtrack.core import LARGEST_SIDE_PX, IrtrackError, SourceError
from irtrack.paths import is_pipe


@contextmanager
def reading(path: Path, what: str = "is damaged or of another kind") -> Iterator[None]:
    """Whatever a parser raises within becomes a SourceError that names the file; the cause stays behind it.

    A MemoryError is one of them: sizes were looked at before, so what asks for so much is damage.
    """
    try:
        yield
    except IrtrackError:
        raise
    except PermissionError as error:
        raise SourceError(f"{path} may not be read: {error.strerror}; check its permissions") from error
    except Exception as error:
        raise SourceError(f"{path} {what} ({said(error)})") from error


def said(error: BaseException) -> str:
    """What an error says, in one short line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    line = " ".join(str(text).split())
    return line if len(line) <= 160 else line[:157] + "..."


def check_size(path: Path, width: int, height: int) -> None:
    """Raises SourceError for sizes that no frame may have; called before anything of that size is made."""
    if width <= 0 or height <= 0:
        raise SourceError(
            f"{path} says that it holds {width}x{height} pixels: it is damaged, cut short or of another kind"
        )
    if width > LARGEST_SIDE_PX or height > LARGEST_SIDE_PX:
        raise SourceError(
            f"{path} says that it holds {width}x{height} pixels: 1 to {LARGEST_SIDE_PX} a side are read; "
            "crop or scale it, if it is no damage"
        )


def check_file(path: Path) -> None:
    """Raises SourceError for a pipe: to wait for what may never come is no way to say so."""
    if is_pipe(path):
        raise SourceError(f"{path} is a pipe, and is read more than once: save it as a file first")
