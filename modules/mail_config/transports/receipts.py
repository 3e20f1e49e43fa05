"""Asking for a notification of delivery (DSN, RFC 3461; RFC 6533 for addresses in other scripts)."""

from __future__ import annotations

MAX_ENVELOPE_ID = 100
"""Of the encoded text (RFC 3461 §4.4)."""

OFFERED_NONE = "The server offers no delivery receipts."
"""The note in the record when a receipt was wished for and the server offers none; the page of a mail translates it."""


def mail_parameters(envelope_id: str) -> str:
    """Return what follows the sender: only the head of the message comes back, with a name for its envelope."""
    encoded = _xtext(envelope_id)
    if len(encoded) > MAX_ENVELOPE_ID:
        encoded = _xtext(envelope_id.partition("@")[0])[:MAX_ENVELOPE_ID]
    return f" RET=HDRS ENVID={encoded}" if encoded else " RET=HDRS"


def recipient_parameters(address: str) -> str:
    """Return what follows a recipient: when to notify, and the address as it was given.

    Args:
        address: As it stands in the command; beyond ASCII only by SMTPUTF8.
    """
    original = f"rfc822;{_xtext(address)}" if address.isascii() else f"utf-8;{_unitext(address)}"
    return f" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={original}"


def _xtext(text: str) -> str:
    """Return ASCII text as `xtext` (RFC 3461 §4); what is no ASCII is left out."""
    return "".join(
        character if "!" <= character <= "~" and character not in "+=" else f"+{ord(character):02X}"
        for character in text
        if character.isascii()
    )


def _unitext(text: str) -> str:
    """Return text as `utf-8-addr-unitext` (RFC 6533 §3)."""
    return "".join(
        character
        if character > "~" or (character >= "!" and character not in "+=\\")
        else _embedded(character)
        for character in text
    )


def _embedded(character: str) -> str:
    return f"\\x{{{ord(character):02X}}}"
