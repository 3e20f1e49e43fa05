"""Keys that encrypt secrets at rest: several at a time, the newest encrypts, each opens what it has encrypted.

What is encrypted begins with the name of its key, so that a database can be asked which key it needs for what, and a
key that is not there is named. The name is derived from the key and tells nothing of it. Behind it stands an identity
that stays when the same is encrypted under another key: by it others know whether a password was changed.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import EnvoiError

MARK_BEGINS = b"k:"
"""With what a mark begins; what was encrypted before keys had names begins otherwise."""

MARK_LENGTH = 11
"""Octets that say under which key something was encrypted."""

IDENTITY_LENGTH = 16
"""Hexadecimal digits."""

SHORTEST = 32
"""Characters of a key; a shorter one could be guessed."""

_LINE = re.compile(rf"(?P<made>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<text>[!-~]{{{SHORTEST},}})")
_MADE = "%Y-%m-%dT%H:%M:%SZ"


class KeyFileError(EnvoiError):
    """The file of keys cannot be read or written, or is no such file."""


@lru_cache(maxsize=64)
def _derived(text: str, purpose: bytes, length: int) -> bytes:
    # A key of its own for each purpose: what signs cookies must not also open secrets (RFC 5869).
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose).derive(text.encode())


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One key. It has no representation, so that no traceback shows it.

    Attributes:
        text: What it is derived from.
        made: When it was made, where that is known.
    """

    text: str
    made: dt.datetime | None = None

    @property
    def name(self) -> str:
        """What it is called in lists, and in what it has encrypted."""
        return _derived(self.text, b"envoi/key-name/1", 4).hex()

    @property
    def mark(self) -> bytes:
        """With what begins whatever it has encrypted."""
        return MARK_BEGINS + self.name.encode() + b":"

    @property
    def cipher(self) -> Fernet:
        """What encrypts by it."""
        return Fernet(base64.urlsafe_b64encode(_derived(self.text, b"envoi/secrets/1", 32)))


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of an installation, the newest first; there is always one."""

    keys: tuple[Key, ...]

    @property
    def newest(self) -> Key:
        """The key that encrypts."""
        return self.keys[0]

    def named(self, name: str) -> Key | None:
        """Return a key by its name, or None where it is not here."""
        return next((key for key in self.keys if key.name == name), None)


def sealed(key: Key, identity: str, text: str) -> bytes:
    """Return a text encrypted under a key; see `parts_of`."""
    return b"%b%b:%b" % (key.mark, identity.encode("ascii"), key.cipher.encrypt(text.encode()))


def parts_of(data: bytes) -> tuple[str | None, str, bytes]:
    """Return the name of the key of what `sealed` has returned, its identity, and what the key opens.

    What was encrypted before keys had names has None for a name.
    """
    name = named_in(data)
    if name is None:
        return None, hashlib.sha256(data).hexdigest()[:IDENTITY_LENGTH], data
    identity = data[MARK_LENGTH : MARK_LENGTH + IDENTITY_LENGTH]
    return name, identity.decode("ascii", "replace"), data[MARK_LENGTH + IDENTITY_LENGTH + 1 :]


def named_in(mark: bytes) -> str | None:
    """Return the name of the key that a mark, or what begins with one, names; None where none is named."""
    if not mark.startswith(MARK_BEGINS):
        return None
    return mark[len(MARK_BEGINS) : MARK_LENGTH - 1].decode("ascii", "replace")


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys in a file, the newest first; none where there is no file.

    Raises:
        KeyFileError: It cannot be read, or is damaged. What stands in it is not repeated.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise KeyFileError(f"The keys in {path} cannot be read: {why}.") from None
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        number = found.index(None) + 1
        raise KeyFileError(f"The keys in {path} are damaged (line {number}): restore the file from a backup.")
    made = [(dt.datetime.strptime(m["made"], _MADE).replace(tzinfo=dt.UTC), m["text"]) for m in found if m]
    return tuple(Key(text, moment) for moment, text in made)


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Write keys to a file that this user alone reads, whole or not at all, and to the disk.

    Raises:
        KeyFileError: It cannot be written; what was there is untouched.
    """
    lines = [f"{key.made:{_MADE}} {key.text}\n" for key in keys if key.made is not None]
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"The keys cannot be written to {path}: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)


def new_key(moment: dt.datetime) -> Key:
    """Return a key made at random."""
    return Key(secrets.token_urlsafe(48), moment.replace(microsecond=0))
