"""What every store of files promises: bytes are found by their SHA-256, written once, never changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from core.errors import EnvoiError
from core.i18n import lazy_gettext as _l

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileMissingError(EnvoiError):
    """The bytes of a hash are not in the store, or no longer have that hash."""


class StoreError(EnvoiError):
    """The store cannot be used at the moment; the same may succeed later."""


class StoreFullError(StoreError):
    """The bytes cannot be written, for example because the disk is full."""


class StoreAwayError(StoreError):
    """The store cannot be reached, or this host reaches another one than the installation has."""


class FileStore(ABC):
    """A store of files named by their SHA-256, for all hosts of an installation.

    It bears a mark, which the database knows as well. What is not in a store with another mark, or with none, is not
    gone: this host looks in the wrong place, or what it should look into is not mounted.

    Args:
        mark: Returns the mark of the installation's store, or "" where none is known yet.
    """

    def __init__(self, mark: Callable[[], str] | None = None) -> None:
        self._mark_of_installation = mark

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in sentences; no secret is in it."""

    def put(self, data: bytes) -> str:
        """Store bytes durably and return their SHA-256; the same bytes are stored once.

        Raises:
            StoreFullError: They cannot be written; nothing is left behind.
            StoreAwayError: The store cannot be reached, or is not the one of this installation.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        self.demand_mark()
        self._write(sha256, data)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes of a hash.

        Raises:
            FileMissingError: They are gone or damaged.
            StoreAwayError: The store cannot be reached, or is not the one of this installation.
        """
        data = self._read(demand_hash(sha256))
        if data is None:
            self.demand_mark()
            raise FileMissingError(f"The file {sha256} is not in the store.")
        # 0.02 ms for a PDF; a damaged invoice that is sent is worse.
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FileMissingError(f"The file {sha256} in the store is damaged.")
        return data

    def touch(self, sha256: str) -> bool:
        """Say that somebody is about to refer to the bytes of a hash; False when they are gone.

        From here on `remove` leaves them alone for as long as it is asked to.

        Raises:
            StoreAwayError: The store cannot be reached, or is not the one of this installation.
        """
        if self._touch(demand_hash(sha256)):
            return True
        self.demand_mark()
        return False

    def remove(self, sha256: str, *, unless_touched_after: dt.datetime | None = None) -> bool:
        """Forget the bytes of a hash that nothing refers to any more; True when they are gone.

        Args:
            sha256: The hash.
            unless_touched_after: Bytes that were stored or touched after this moment stay: whoever did that may be
                about to refer to them.

        Raises:
            StoreAwayError: The store cannot be reached, or is not the one of this installation.
        """
        demand_hash(sha256)
        self.demand_mark()
        return self._remove(sha256, unless_touched_after)

    def folders(self) -> list[str]:
        """Return the names of the folders that the store is divided into: what hashes begin with."""
        return [f"{number:02x}" for number in range(256)]

    @abstractmethod
    def names(self, folder: str, *, untouched_for: float | None = None) -> Iterator[tuple[str, bool]]:
        """Return what lies in a folder and was not touched for so many seconds; None for all of it.

        Yields:
            The name, and True where it is a hash, False for what a crash has left behind.
        """

    def discard_leftover(self, folder: str, name: str) -> None:
        """Remove what a crash has left behind; most stores leave nothing."""
        _ = self, folder, name

    def demand_mark(self) -> None:
        """Make sure that this is the store of the installation.

        Raises:
            StoreAwayError: It cannot be reached, or bears another mark.
        """
        mark = self._mark_of_installation() if self._mark_of_installation is not None else ""
        if mark and not self.has_mark(mark):
            raise StoreAwayError(
                _l(
                    "This host does not reach the file store of the installation: %(place)s is another one, or it is "
                    "not mounted.",
                    place=self.name,
                )
            )

    @abstractmethod
    def has_mark(self, mark: str) -> bool:
        """Return True when the store bears a mark.

        Raises:
            StoreAwayError: It cannot be reached.
        """

    @abstractmethod
    def set_mark(self, mark: str) -> None:
        """Let the store bear a mark.

        Raises:
            StoreError: It cannot be written.
        """

    @abstractmethod
    def clear_mark(self, mark: str) -> None:
        """Take a mark from the store.

        Raises:
            StoreError: It cannot be written.
        """

    @abstractmethod
    def _write(self, sha256: str, data: bytes) -> None: ...

    @abstractmethod
    def _read(self, sha256: str) -> bytes | None: ...

    @abstractmethod
    def _touch(self, sha256: str) -> bool: ...

    @abstractmethod
    def _remove(self, sha256: str, unless_touched_after: dt.datetime | None) -> bool: ...


def is_hash(name: str) -> bool:
    """Return True for a SHA-256."""
    return _SHA256.fullmatch(name) is not None


def demand_hash(sha256: str) -> str:
    """Return a SHA-256 as it is.

    Raises:
        FileMissingError: The text is none.
    """
    if not _SHA256.fullmatch(sha256):
        raise FileMissingError(f"{sha256!r} is not a SHA-256.")
    return sha256


def away(name: str, why: str) -> StoreAwayError:
    """Return the error of a store that cannot be reached.

    Args:
        name: Of the store.
        why: As the system or the server says it.
    """
    return StoreAwayError(
        _l("The file store %(place)s cannot be reached (%(why)s).", place=name, why=why.rstrip("."))
    )
