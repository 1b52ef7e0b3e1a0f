"""Files that are written: claimed at the start, before anything slow begins, so that nothing is lost at the end.

A claimed file exists, can be written, is locked against other runs, and is none of the files that are read.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from irtrack.core import SinkError
from irtrack.paths import IMAGE_SUFFIXES, is_pipe, replacing

try:
    import fcntl
except ImportError:  # not on Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]

Identity = tuple[int, int]
"""Device and inode: two names of one file have the same."""


def reason(error: BaseException) -> str:
    """What the operating system says, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_target(path: Path, force: bool) -> Path:
    """The path, if it may be written: it is tried. Raises SinkError where it exists (without `force`) or cannot be."""
    Target(path, force).abandon()
    return path


class Target:
    """A file that is ours to write, until `finish` or `abandon`. What is in it stays until something is written."""

    def __init__(self, path: Path, force: bool = False) -> None:
        """Makes the file, or with `force` takes one that is there, and locks it. Raises SinkError."""
        self.path, self.force = path, force
        self.finished = False
        """Whether all that belongs into it was written."""
        if str(path) == "-":
            raise SinkError("- is no name of a file: for the standard output give /dev/stdout and --force")
        try:
            if path.is_dir():
                raise SinkError(f"{path} is a folder: give the name of a file")
            if not path.absolute().parent.is_dir():
                raise SinkError(f"the folder {path.absolute().parent} does not exist: create it first")
        except OSError as error:  # a name that is too long, for example
            raise SinkError(f"cannot write {path}: {reason(error)}") from error
        self._made = False
        self._fd: int | None = None
        while self._fd is None:
            fd = self._open()
            try:
                self._lock(fd)
                if identity(path) == identity(fd):
                    self._fd = fd
            finally:
                if self._fd is None:  # refused; or another run put its own file there between our two steps
                    os.close(fd)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            fd = os.open(self.path, flags | os.O_EXCL, 0o666)
            self._made = True
        except FileExistsError:
            if not self.force:
                raise SinkError(f"{self.path} exists: choose another name, or overwrite it with --force") from None
            if is_pipe(self.path):  # which would be waited for without end where nobody reads from it
                flags |= os.O_NONBLOCK
            try:
                fd = os.open(self.path, flags)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    raise SinkError(f"{self.path} is a pipe from which no program reads: start that first") from None
                raise SinkError(f"cannot write {self.path}: {reason(error)}") from error
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {reason(error)}") from error
        return fd

    def _lock(self, fd: int) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SinkError(f"{self.path} is being written by another run of irtrack: choose another name") from None
        except OSError:
            pass  # a file system without locks

    @property
    def identity(self) -> Identity | None:
        """Of the file; None where it is none, such as /dev/null."""
        if self._fd is None:
            return None
        return identity(self._fd)

    def finish(self) -> None:
        """It is complete; others may write it now. May be called twice."""
        if self._fd is not None:
            self.finished = True
        self.release()

    def release(self) -> None:
        """It is no longer written, complete or not."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def abandon(self) -> None:
        """Nothing becomes of it: an empty file that was made here goes."""
        if self._fd is not None and os.fstat(self._fd).st_size == 0:
            self._remove()
        self.release()

    def discard(self) -> None:
        """Nothing came to be written: the file goes, if it was made here."""
        self._remove()
        self.release()

    def _remove(self) -> None:
        """If it was made here, and none that was written beside it has taken its place."""
        if self._fd is not None and self._made and identity(self.path) == identity(self._fd):
            with contextlib.suppress(OSError):
                self.path.unlink()

    def next_part(self) -> Target:
        """The file that goes on where this one cannot: tracks.csv, tracks.part2.csv, tracks.part3.csv."""
        stem, _, text = self.path.stem.rpartition(".part")
        stem, number = (stem, int(text) + 1) if stem and text.isdigit() else (self.path.stem, 2)
        while True:
            path = self.path.with_name(f"{stem}.part{number}{self.path.suffix}")
            if self.force or not path.exists():
                return Target(path, self.force)
            number += 1


def claimed(path: Path | Target, force: bool = False) -> Target:
    """A file that was claimed before, or is now. Raises SinkError."""
    return path if isinstance(path, Target) else Target(path, force)


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """A file, whole or as it was before: written beside it, brought to the disk, put in its place.

    What is no regular file, such as /dev/stdout, is written as it is. Raises OSError.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with replacing(path.resolve()) as part:  # of a link the file that it leads to
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """A folder to write to, made where it is not there; it goes if it stays empty. Raises SinkError."""
    there = path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {path}: {reason(error)}") from error
    try:
        yield
    finally:
        if not there:
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def claimed_folder(path: Path) -> Iterator[None]:
    """A folder that no other run writes to meanwhile, made where it is not there. Raises SinkError."""
    with made_folder(path):
        lock = Target(path / ".lock", force=True)
        try:
            yield
        finally:
            lock.discard()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While no other process is here too; on file systems without locks, without. Raises OSError."""
    with path.open("a") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def identity(file: int | Path) -> Identity | None:
    """Of an open file or a path; None of what is no regular file, or not there."""
    try:
        about = os.stat(file)
    except OSError:
        return None
    return (about.st_dev, about.st_ino) if stat.S_ISREG(about.st_mode) else None


@contextlib.contextmanager
def claimed_all(
    paths: Iterable[Path | None], force: bool, inputs: Iterable[str | Path | None] = ()
) -> Iterator[list[Path]]:
    """The outputs of a command, as far as they are wanted, claimed while it works: each a file of its own, none of the
    `inputs`, and no other run's. What nothing was written to goes in the end. Raises SinkError."""
    wanted = [path for path in paths if path is not None]
    targets = Targets(wanted, force, inputs)
    try:
        yield wanted
    finally:
        targets.abandon()


def files_of(inputs: Iterable[str | Path | None]) -> Iterator[Path]:
    """The files that are read, as a user names them: those named (several in lines), and those in folders and globs.
    What is no file (a name of a model, a URL) is passed over."""
    for text in (line for given in inputs if given for line in str(given).splitlines()):
        if "://" in text:
            continue
        path = Path(text).expanduser()
        try:
            if path.is_dir():
                yield from (p for p in path.iterdir() if p.is_file())
            elif path.exists():
                yield path
            else:
                yield from map(Path, glob.glob(str(path)))
        except OSError:
            continue  # whoever opens it says what is wrong


def write_output(path: Path, content: str | bytes) -> None:
    """`write_whole`, whose failure is one line. Raises SinkError."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {reason(error)}") from error


class Targets:
    """The files of a run, claimed all or none."""

    def __init__(self, paths: Iterable[Path], force: bool = False, inputs: Iterable[str | Path | None] = ()) -> None:
        """`inputs`: what is read, as `files_of` has it, of which nothing may be written. Raises SinkError."""
        self.all: list[Target] = []
        read = {i: path for path in files_of(inputs) if (i := identity(path)) is not None}
        written: dict[Identity, Path] = {}
        try:
            for path in paths:
                there = identity(path)
                if there in read:
                    raise SinkError(f"{path} is read by this run: give its outputs other names")
                if there in written:
                    raise SinkError(f"{path} is named for two outputs: give each its own file")
                self.all.append(target := Target(path, force))
                if target.identity is not None:
                    written[target.identity] = path
        except BaseException:
            self.abandon()
            raise

    def check_apart(self, sources: Iterable[str | Path | None]) -> None:
        """Raises SinkError where an output would be read as one of the images of a folder or glob; all are let go."""
        images = {t.identity: t.path for t in self.all if t.identity and t.path.suffix.lower() in IMAGE_SUFFIXES}
        found = next((i for p in files_of(sources) if (i := identity(p)) in images), None) if images else None
        if found is not None:
            self.abandon()
            raise SinkError(f"{images[found]} would be read as one of the images beside it: choose another folder")

    def of(self, path: Path) -> Target:
        """The claimed file of that name."""
        return next(t for t in self.all if t.path == path)

    def next_part(self, target: Target) -> Target:
        """`Target.next_part`, remembered here."""
        self.all.append(following := target.next_part())
        return following

    @property
    def finished(self) -> list[Path]:
        """Those that were written to their end."""
        return [t.path for t in self.all if t.finished]

    def abandon(self) -> None:
        """Let go of those that nothing was written to; those that are finished stay."""
        for target in self.all:
            target.abandon()
