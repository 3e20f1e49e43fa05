"""The content-addressed store of files: bytes are found by their SHA-256, written once, never changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

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
            if path.exists() and path.read_bytes() == data:
                return sha256
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
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
        try:
            data = self.path(sha256).read_bytes()
        except OSError as error:
            raise FileMissingError(f"The file {sha256} is not in the store.") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FileMissingError(f"The file {sha256} in the store is damaged.")
        return data

    def remove(self, sha256: str) -> None:
        """Forget the bytes of a hash; the caller knows that nothing refers to them any more."""
        self.path(sha256).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
