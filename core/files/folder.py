"""Files in a folder, which several hosts may share."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from core import clock
from core.files.store import FileStore, StoreFullError, away, demand_hash, is_hash

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})


class FolderStore(FileStore):
    """A folder of files named by their SHA-256.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path, mark: Callable[[], str] | None = None) -> None:
        super().__init__(mark)
        self.root = root

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def path(self, sha256: str) -> Path:
        """Return where the bytes of a hash are kept.

        Raises:
            FileMissingError: The text is not a SHA-256.
        """
        # 256 folders: some file systems, and every person, mind a million names in one.
        return self.root / demand_hash(sha256)[:2] / sha256

    def _write(self, sha256: str, data: bytes) -> None:
        path = self.path(sha256)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            # Read, not only looked at: what is damaged is mended by storing the same bytes again.
            if self._touch(sha256) and path.read_bytes() == data:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.utime(file.fileno(), ns=_now())
                os.fsync(file.fileno())
            # Whole or not at all: a reader never sees half a file, and two writers of the same bytes do no harm.
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StoreFullError(f"The file could not be stored: {error.strerror}.") from error

    def _read(self, sha256: str) -> bytes | None:
        try:
            # One read of the whole file, without the objects of a path and of a buffer: each mail comes here.
            with FileIO(f"{self.root}/{sha256[:2]}/{sha256}") as file:
                return file.readall()
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise away(self.name, error.strerror or "") from error

    def _touch(self, sha256: str) -> bool:
        path = self.path(sha256)
        try:
            with held(path.parent, exclusive=False):
                os.utime(path, ns=_now())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise away(self.name, error.strerror or "") from error
        return True

    def _remove(self, sha256: str, unless_touched_after: dt.datetime | None) -> bool:
        path = self.path(sha256)
        try:
            with held(path.parent, exclusive=True):
                if unless_touched_after and path.stat().st_mtime > unless_touched_after.timestamp():
                    return False
                path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise away(self.name, error.strerror or "") from error
        return True

    def names(self, folder: str, *, untouched_for: float | None = None) -> Iterator[tuple[str, bool]]:
        """Return what lies in a folder; see `FileStore.names`."""
        latest = None if untouched_for is None else clock.now().timestamp() - untouched_for
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    if latest is None or entry.stat().st_mtime <= latest:
                        yield entry.name, is_hash(entry.name)

    def discard_leftover(self, folder: str, name: str) -> None:
        """Remove a temporary file that a crash has left behind."""
        if name.endswith(".tmp"):
            (self.root / folder / Path(name).name).unlink(missing_ok=True)

    def _mark(self, mark: str) -> Path:
        return self.root / f"store-{mark}"

    def has_mark(self, mark: str) -> bool:
        """Return True when the folder bears a mark; see `FileStore.has_mark`."""
        try:
            # Asked of the folder each time: it may have been mounted, or not any more.
            self._mark(mark).stat()
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise away(self.name, error.strerror or "") from error
        return True

    def set_mark(self, mark: str) -> None:
        """Let the folder bear a mark; see `FileStore.set_mark`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._mark(mark).touch()
            _sync_folder(self.root)
        except OSError as error:
            raise StoreFullError(f"{self.root} cannot be written: {error.strerror}.") from error

    def clear_mark(self, mark: str) -> None:
        """Take a mark from the folder; see `FileStore.clear_mark`."""
        try:
            self._mark(mark).unlink(missing_ok=True)
        except OSError as error:
            raise StoreFullError(f"{self.root} cannot be written: {error.strerror}.") from error


def _now() -> tuple[int, int]:
    """Return the times of a file that is stored or touched now.

    The kernel's own lag some milliseconds behind the clock, by which rows say when they were written.
    """
    now = int(clock.now().timestamp() * 1_000_000) * 1000
    return now, now


@contextlib.contextmanager
def held(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold a folder while a block runs, so that nobody removes what somebody else is about to refer to."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        except OSError as error:
            # Some network file systems do not lock folders; there the time of the last touch must do.
            if error.errno not in {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP}:
                raise
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
