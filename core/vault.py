"""Secrets at rest, encrypted under a key derived from `ENVOI_SECRET_KEY`."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.registry import current_settings


def _cipher() -> Fernet:
    # A key of its own: what signs cookies must not also open secrets (RFC 5869).
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"envoi/secrets/1").derive(
        current_settings().secret_key.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))


def encrypt(text: str) -> bytes:
    """Return the text encrypted and authenticated."""
    return _cipher().encrypt(text.encode())


def decrypt(data: bytes) -> str:
    """Return the text of what `encrypt` returned.

    Raises:
        UserError: It was encrypted under another key.
    """
    try:
        return _cipher().decrypt(data).decode()
    except InvalidToken as error:
        raise UserError(
            _l(
                "A saved password cannot be read: ENVOI_SECRET_KEY is not the one it was saved under. "
                "Type it again."
            )
        ) from error


def readable(data: bytes | None) -> bool:
    """Return False for what was encrypted under another key than the present one."""
    try:
        _ = decrypt(data) if data else ""
    except UserError:
        return False
    return True
