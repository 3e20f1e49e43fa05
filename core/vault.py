"""Secrets at rest, encrypted under the newest key of the installation.

Keys come from `ENVOI_ENCRYPTION_KEYS` or from a file that `envoi key rotate` writes; the first one is derived from
`ENVOI_SECRET_KEY`. The file is looked at whenever something is encrypted or decrypted, so that every process of the
installation has a new key at once.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.fernet import InvalidToken

from core.db import Sealed
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.key_ring import IDENTITY_LENGTH, Key, KeyRing, parts_of, read_keys, sealed
from core.registry import current_settings

_read: dict[Path, tuple[object, tuple[Key, ...]]] = {}


class UnreadableError(UserError):
    """What was encrypted under a key that is not here, or is damaged."""


def key_ring() -> KeyRing:
    """Return the keys that there are now, the newest first.

    Raises:
        KeyFileError: The file of keys cannot be read.
    """
    settings = current_settings()
    first = Key(settings.secret_key)
    if settings.encryption_keys:
        keys = tuple(Key(text) for text in settings.encryption_keys)
    else:
        keys = _keys_in(settings.keys_file)
    return KeyRing((*(key for key in keys if key.text != first.text), first) if keys else (first,))


def _keys_in(path: Path) -> tuple[Key, ...]:
    """Return the keys in the file, read anew where it was replaced."""
    try:
        found = os.stat(path)  # noqa: PTH116 (whenever something is encrypted: the quick one)
    except FileNotFoundError:
        return ()
    stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
    known = _read.get(path)
    if known is None or known[0] != stamp:
        known = _read[path] = (stamp, read_keys(path))
    return known[1]


def encrypt(text: str) -> Sealed:
    """Return the text encrypted and authenticated, for a column of the type `core.db.Encrypted` and no other."""
    return Sealed(sealed(key_ring().newest, secrets.token_hex(IDENTITY_LENGTH // 2), text))


def encrypt_anew(data: Sealed) -> Sealed:
    """Return the same under the newest key, with the same identity.

    Raises:
        UnreadableError: As for `decrypt`.
    """
    return Sealed(sealed(key_ring().newest, data.identity, decrypt(data)))


def decrypt(data: Sealed) -> str:
    """Return the text of what `encrypt` returned.

    Raises:
        UnreadableError: Its key is not here, or it is damaged.
    """
    if not isinstance(data, Sealed):
        # Else a change of keys would not find it, and nobody could read it any more.
        raise TypeError("What is encrypted must be kept in a column of the type core.db.Encrypted.")
    ring = key_ring()
    name, _identity, token = parts_of(data)
    if name is None:
        return _opened(token, ring.keys)
    key = ring.named(name)
    if key is None:
        raise UnreadableError(
            _l(
                "What is stored here cannot be read: its key %(name)s is missing. Put that key back, or type the "
                "password again.",
                name=name,
            )
        )
    return _opened(token, (key,))


def _opened(token: bytes, keys: tuple[Key, ...]) -> str:
    for key in keys:
        try:
            return key.cipher.decrypt(token).decode()
        except InvalidToken:
            continue
    raise UnreadableError(
        _l(
            "A saved password cannot be read: ENVOI_SECRET_KEY is not the one it was saved under. "
            "Type it again."
        )
    ) from None


def readable(data: Sealed | None) -> bool:
    """Return False for what was encrypted under a key that is not here, or is damaged."""
    try:
        _ = decrypt(data) if data else ""
    except UnreadableError:
        return False
    return True
