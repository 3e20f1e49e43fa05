"""The content-addressed store of files: bytes are found by their SHA-256, written once, never changed."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from core import clock
from core.errors import EnvoiError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileMissingError(EnvoiError):
    """The bytes of a hash are not in the store, or no longer have that hash."""


class StoreFullError(EnvoiError):
    """The bytes cannot be written, for example because the disk is full."""


@dataclass(frozen=True, slots=True)
class FileStore:
    """A folder of files named by their SHA-256.

    Attributes:
        root: The folder; several hosts may share it.
    """

    root: Path

    def path(self, sha256: str) -> Path:
        """Return where the bytes of a hash are kept.

        Raises:
            FileMissingError: The text is not a SHA-256.
        """
        if not _SHA256.fullmatch(sha256):
            raise FileMissingError(f"{sha256!r} is not a SHA-256.")
        # 256 folders: some file systems, and every person, mind a million names in one.
        return self.root / sha256[:2] / sha256

    def put(self, data: bytes) -> str:
        """Store bytes durably and return their SHA-256; the same bytes are stored once.

        Raises:
            StoreFullError: The disk is full or not writable; nothing is left behind.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            # Read, not only looked at: what is damaged is mended by storing the same bytes again.
            if self.touch(sha256) and path.read_bytes() == data:
                return sha256
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
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes of a hash.

        Raises:
            FileMissingError: They are gone or damaged.
        """
        if not _SHA256.fullmatch(sha256):
            raise FileMissingError(f"{sha256!r} is not a SHA-256.")
        try:
            # One read of the whole file, without the objects of a path and of a buffer: each mail comes here.
            with FileIO(f"{self.root}/{sha256[:2]}/{sha256}") as file:
                data = file.readall()
        except OSError as error:
            raise FileMissingError(f"The file {sha256} is not in the store.") from error
        # 0.02 ms for a PDF; a damaged invoice that is sent is worse.
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FileMissingError(f"The file {sha256} in the store is damaged.")
        return data

    def touch(self, sha256: str) -> bool:
        """Say that somebody is about to refer to the bytes of a hash; False when they are gone.

        From here on `remove` leaves them alone for as long as it is asked to.
        """
        path = self.path(sha256)
        try:
            with held(path.parent, exclusive=False):
                os.utime(path, ns=_now())
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def remove(self, sha256: str, *, unless_touched_after: dt.datetime | None = None) -> bool:
        """Forget the bytes of a hash that nothing refers to any more; True when they are gone.

        Args:
            sha256: The hash.
            unless_touched_after: Bytes that were stored or touched after this moment stay: whoever did that may be
                about to refer to them.
        """
        path = self.path(sha256)
        try:
            with held(path.parent, exclusive=True):
                if unless_touched_after and path.stat().st_mtime > unless_touched_after.timestamp():
                    return False
                path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass
        return True

    def folders(self) -> list[str]:
        """Return the names of the folders that the store is divided into."""
        return [f"{number:02x}" for number in range(256)]

    def names(self, folder: str, *, untouched_for: float) -> Iterator[tuple[str, bool]]:
        """Return what lies in a folder and was not touched for so many seconds.

        Yields:
            The name, and True where it is a hash, False for what a crash has left behind.
        """
        latest = clock.now().timestamp() - untouched_for
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime <= latest:
                        yield entry.name, bool(_SHA256.fullmatch(entry.name))

    def discard_leftover(self, folder: str, name: str) -> None:
        """Remove a temporary file that a crash has left behind."""
        if name.endswith(".tmp"):
            (self.root / folder / Path(name).name).unlink(missing_ok=True)


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
