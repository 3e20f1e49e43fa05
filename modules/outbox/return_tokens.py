"""Tokens in addresses of ours, by which what comes back finds its mail.

In the sender of the envelope (VERP), so that a bounce that says nothing still comes back to its own recipient; in
Reply-To, so that an answer does whose program names no Message-ID.

A token names a mail, and its recipient where the mail went to one alone. It is signed with the installation's key, so
that nobody makes one up, and written in letters and digits of one case, since servers fold the case of addresses. Who
gets a mail reads its Reply-To: the token there is signed for answers, and proves no bounce.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

from core.registry import current_settings

_TOKEN = re.compile(r"\+(?P<mail>[0-9a-z]{1,7})-(?P<recipient>[0-9a-z]{1,7})-(?P<sign>[a-z2-7]{16})@")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SIGNED_OCTETS = 10  # 80 bits: each guess costs whoever guesses a mail to us


class TokenUse(StrEnum):
    """What a token is for; one for the other is none."""

    RETURN_PATH = "return-path"
    REPLY_TO = "reply-to"


@dataclass(frozen=True, slots=True)
class Token:
    """The mail that a token names, and its recipient, or 0 where the mail went to several at once."""

    mail_id: int
    recipient_id: int = 0


def make_token(mail_id: int, recipient_id: int = 0, *, use: TokenUse = TokenUse.RETURN_PATH) -> str:
    """Return the token of a mail, or of one of its recipients."""
    body = f"{_in_base_36(mail_id)}-{_in_base_36(recipient_id)}"
    return f"{body}-{_signature(body, use)}"


def token_in(address: str, use: TokenUse = TokenUse.RETURN_PATH) -> Token | None:
    """Return the token that an address carries for a use, or None where it carries none of ours."""
    match = _TOKEN.search(address.lower())
    if match is None:
        return None
    body = f"{match['mail']}-{match['recipient']}"
    if not hmac.compare_digest(match["sign"], _signature(body, use)):
        return None
    return Token(int(match["mail"], 36), int(match["recipient"], 36))


def _signature(body: str, use: TokenUse) -> str:
    key = current_settings().secret_key.encode()
    digest = hmac.digest(key, f"envoi/{use}/1:{body}".encode(), "sha256")
    return base64.b32encode(digest[:_SIGNED_OCTETS]).decode().lower()


def _in_base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
