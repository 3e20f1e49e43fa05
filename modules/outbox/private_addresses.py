"""Addresses that are used and not kept: a walk-in's, who wants a receipt and nothing else.

The address of a recipient of a private mail is encrypted from the first moment. In its place stands a hash: the same
for the same address and document, keyed by the installation's secret so that nobody can try out addresses, and no way
back. It is another one on the next receipt: nobody can tell from the rows who comes again. Lists, search, logs, exports
and backups know the hash only. Servers repeat addresses in their answers, so what they have said
is scrubbed before anything keeps it. Once everybody has the mail, the encrypted address goes too, with the message and
its files.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from core.db import Sealed
from core.mail.addresses import Address, ascii_addr_spec
from core.mail.outcomes import Failure, RecipientOutcome, Reply
from core.registry import current_settings
from core.vault import decrypt, encrypt
from modules.mail_config.transports.base import Submission
from modules.outbox.models import MailRecipient, OutgoingMail

SCRUBBED = "‹address›"  # stands where a server has repeated the address
_SHORTEST_LOCAL_PART = 3  # letters: replacing "a" everywhere would leave no words to read


def address_hash(address: str, purpose: str = "private") -> str:
    """Return what stands in place of an address: the same for the same address, and no way back.

    Args:
        address: An addr-spec; its case makes no difference.
        purpose: Hashes of one purpose say nothing about those of another.
    """
    # Keyed: all addresses of a country can be hashed in a day, so a plain hash would be one that can be undone.
    key = current_settings().secret_key.encode()
    text = f"envoi/{purpose}/1:{address.casefold()}"
    digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    # Looks like an address, so that lists and searches need no case for it; `.invalid` can never be one (RFC
    # 2606).
    return f"{purpose}-{digest[:12]}@{purpose}.invalid"


def private_hash(address: str, document_id: int | None, message_id: str = "") -> str:
    """Return what stands in place of a private address: the same in all mails about a document, another elsewhere.

    Args:
        address: An addr-spec; its case makes no difference.
        document_id: What the mail is about.
        message_id: Of the mail, where it is about no document.
    """
    salt = f"document {document_id}" if document_id is not None else message_id
    return address_hash(f"{salt}:{address_hash(address)}")


def hash_in(mail: OutgoingMail, address: str) -> str:
    """Return what stands in a mail in place of a private address."""
    return private_hash(address, mail.document_id, mail.message_id)


def is_address_hash(addr_spec: str) -> bool:
    """Return True for what stands in place of a private address."""
    return addr_spec.endswith("@private.invalid")


def encrypted_choice(addresses: Sequence[str]) -> Sealed:
    """Return addresses that a person has chosen for a document of a run, as they are kept until a mail has them."""
    return encrypt(json.dumps(list(addresses)))


def chosen_addresses(choice: Sealed | None) -> list[str]:
    """Return what `encrypted_choice` was given; nothing for None."""
    chosen: list[str] = json.loads(decrypt(choice)) if choice is not None else []
    return chosen


def encrypt_address(mail: OutgoingMail, recipient: MailRecipient, address: str) -> None:
    """Give a recipient of a mail an address that is used and not kept."""
    # A name says who it is as well as an address does, so it is not kept either.
    recipient.addr_spec, recipient.encrypted_address, recipient.display_name = (
        hash_in(mail, address),
        encrypt(address),
        "",
    )


def address_of(recipient: MailRecipient) -> Address:
    """Return the mailbox that a mail goes to; that of a private one whose time is over is its hash.

    Raises:
        UserError: Its key is not here.
    """
    if recipient.encrypted_address is None:
        return recipient.address
    return Address(decrypt(recipient.encrypted_address))


def _encoded(character: str) -> str:
    """Return a pattern for a character as servers write it in addresses that they repeat.

    As it is, or escaped as in a quoted string (RFC 5322 §3.2.4); quoted-printable (RFC 2045 §6.7), percent-encoded once
    or twice (RFC 3986 §2.1), as xtext (RFC 3461 §4), or as a reference of HTML.
    """
    plain = rf"\\?{re.escape(character)}"
    octets = character.encode()
    forms = [plain, rf"&\#0*{ord(character)};", rf"&\#x0*{ord(character):x};"]
    forms += ["".join(f"{mark}{octet:02x}" for octet in octets) for mark in ("%", "%25", "=", r"\+")]
    return f"(?:{'|'.join(forms)})"


# What stands for the "@": itself, the "=" of a variable envelope return path, or a word, with blanks around it.
_AT = rf"\s*(?:{_encoded('@')}|&commat;|=|[(\[{{<]?\s*\bat\b\s*[)\]}}>]?)\s*"
_DOT = rf"\s*(?:{_encoded('.')}|[(\[{{<]?\s*\bdot\b\s*[)\]}}>]?)\s*"


def _forms(text: str) -> str:
    return "".join(map(_encoded, text))


def _patterns(address: str) -> Iterator[str]:
    """Yield the patterns of an address: whole, in an encoding, and what stands before its `@`."""
    local, _at, domain = address.rpartition("@")
    yield rf'"?{_forms(local)}"?{_AT}{_DOT.join(map(_forms, domain.split(".")))}'
    yield re.escape(base64.b64encode(address.encode()).decode().rstrip("="))
    # Some servers repeat the part before the @ alone, also without its tag; a shorter one would blot out words.
    for part in dict.fromkeys((local, local.partition("+")[0])):
        if len(part) >= _SHORTEST_LOCAL_PART:
            yield _forms(part)


def _names(addresses: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for the addresses and for what stands before their `@`; None for no address."""
    known = dict.fromkeys(form for address in addresses for form in (address, ascii_addr_spec(address)))
    # Whole addresses first: what is left of one whose beginning was taken alone would tell its domain.
    patterns = sorted((pattern for address in known for pattern in _patterns(address)), key=len, reverse=True)
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def scrub(text: str, addresses: Iterable[str]) -> str:
    """Return a text in which none of some addresses, nor what stands before their `@`, is left."""
    names = _names(addresses)
    return names.sub(SCRUBBED, text) if names is not None else text


def scrubbed(submission: Submission, addresses: Sequence[str]) -> Submission:
    """Return what an attempt did without the addresses in what the server has said."""
    names = _names(addresses)
    if names is None:
        return submission

    def clean(text: str) -> str:
        return names.sub(SCRUBBED, text)

    def reply(given: Reply | None) -> Reply | None:
        return None if given is None else replace(given, text=clean(given.text))

    def failure(given: Failure | None) -> Failure | None:
        if given is None:
            return None
        return replace(given, reply=reply(given.reply), detail=clean(given.detail))

    def outcome(given: RecipientOutcome) -> RecipientOutcome:
        return replace(
            given,
            addr_spec=address_hash(given.addr_spec),
            reply=reply(given.reply),
            failure=failure(given.failure),
        )

    return replace(
        submission,
        outcomes=tuple(outcome(one) for one in submission.outcomes),
        failure=failure(submission.failure),
        transcript=[clean(line) for line in submission.transcript],
    )
