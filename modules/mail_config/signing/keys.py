"""The verbs of keys: make one, let it sign once its record is found, stop it, delete it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import select

from core import clock
from core.db import Sealed, db, end_reading, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import InvalidAddressError, ascii_addr_spec, normalize
from core.mail.dkim import Algorithm, Signer, SigningKey, new_key, read_key
from core.vault import decrypt, encrypt, readable
from modules.mail_config.signing.records import Published, published
from modules.mail_config.signing_models import DomainKey, KeyState
from modules.mail_config.transports.name_service import Names

logger = logging.getLogger(__name__)

MOST_KEYS = 20
"""Of one domain; who has more has forgotten to delete them."""

_LONGEST_DOMAIN = 253
_LABELS = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))+", re.ASCII)


def clean_domain(text: str) -> str:
    """Return a domain as the DNS has it, in lower case and ASCII, from what somebody has typed: also an address.

    Raises:
        UserError: It is none.
    """
    typed = text.strip().rpartition("@")[2].strip(" <>").rstrip(".").lower()
    try:
        domain = ascii_addr_spec(normalize(f"x@{typed}")).rpartition("@")[2] if len(typed) <= 253 else ""
    except (InvalidAddressError, ValueError):
        domain = ""
    if not _LABELS.fullmatch(domain) or len(domain) > _LONGEST_DOMAIN:
        raise UserError(_l("Type a domain such as example.com, or an address of it."), "domain")
    return domain


def domain_of(addr_spec: str) -> str:
    """Return the domain of an address as the DNS has it, or "" where that is none."""
    try:
        return clean_domain(addr_spec)
    except UserError:
        return ""


def keys_of(domain: str, *, locked: bool = False) -> list[DomainKey]:
    """Return the keys of a domain, the newest first; locked until the transaction ends, if asked."""
    chosen = select(DomainKey).where(DomainKey.domain == domain).order_by(DomainKey.id.desc())
    return list(db.session.scalars(chosen.with_for_update() if locked else chosen))


def make_keys(domain: str, algorithms: Sequence[Algorithm]) -> list[DomainKey]:
    """Make a key of each algorithm; it signs nothing before its record is found.

    Raises:
        UserError: There are too many, or one waits already to be published.
    """
    made = [
        (algorithm, *new_key(algorithm)) for algorithm in algorithms
    ]  # slow: not while others wait to write
    # A month for people, the rest so that another installation of the same house never takes the same one.
    selector = f"envoi-{clock.now():%Y%m}-{secrets.token_hex(3)}"
    with transaction() as session:
        there = keys_of(domain)
        if len(there) + len(made) > MOST_KEYS:
            raise UserError(_l("This domain has %(count)s keys. Delete old ones first.", count=len(there)))
        if any(key.state is KeyState.WAITING and key.algorithm in algorithms for key in there):
            raise UserError(_l("A key waits already for its record. Publish that one, or delete it first."))
        rows = [
            DomainKey(
                domain=domain,
                selector=f"{selector}-{algorithm}",
                algorithm=algorithm,
                secret=encrypt(private),
                public=public,
            )
            for algorithm, private, public in made
        ]
        session.add_all(rows)
    return rows


def start_signing(key: DomainKey, names: Names) -> bool:
    """Look for the record of a key; once it is found, messages are signed by it, and the one before retires.

    Returns:
        False where the record is missing or is another one: then nothing has changed.

    Raises:
        NameServiceError: The DNS has told nothing.
        UserError: The private half cannot be read any more.
    """
    key_id, domain, looked_for = key.id, key.domain, (key.record_name, key.public)
    _ = decrypt(key.secret)
    end_reading()
    if published(names, *looked_for) is not Published.FOUND:
        return False
    with transaction():
        there = {row.id: row for row in keys_of(domain, locked=True)}
        row = there.pop(key_id, None)
        if row is None:
            raise UserError(_l("This key was deleted meanwhile."))
        now = clock.now()
        for other in there.values():
            if other.algorithm is row.algorithm and other.state is KeyState.SIGNING:
                other.retired_at = now
        if row.state is not KeyState.SIGNING:
            row.signs_since, row.retired_at = now, None
    return True


def stop_signing(key: DomainKey) -> None:
    """Let a key sign no more; its record has to stand for a while."""
    with transaction() as session:
        row = session.get(DomainKey, key.id)
        if row is not None and row.state is KeyState.SIGNING:
            row.retired_at = clock.now()


def delete_key(key: DomainKey) -> None:
    """Delete a key that signs nothing.

    Raises:
        UserError: It signs.
    """
    with transaction() as session:
        row = session.get(DomainKey, key.id)
        if row is None:
            return
        if row.state is KeyState.SIGNING:
            raise UserError(_l("This key signs the emails of its domain. Let another one sign, or stop it."))
        session.delete(row)


def signer_of(domain: str) -> Signer | None:
    """Return what signs the messages of a domain, by each of its keys that signs now; None where there is none."""
    if not domain:
        return None
    rows = [key for key in reversed(keys_of(domain)) if key.state is KeyState.SIGNING]
    # RSA first: some receivers look at the first signatures alone.
    rows.sort(key=lambda key: key.algorithm is not Algorithm.RSA)
    read = [_read(key.domain, key.selector, key.secret) for key in rows if _usable(key)]
    return Signer(tuple(read)) if read else None


def _usable(key: DomainKey) -> bool:
    """Tell whether the private half can be read. An email leaves without its signature rather than not at all."""
    if readable(key.secret):
        return True
    logger.warning("The key %s of %s cannot be read; nothing is signed by it.", key.selector, key.domain)
    return False


@lru_cache(maxsize=64)
def _read(domain: str, selector: str, secret: Sealed) -> SigningKey:
    # Once in a process: reading an RSA key costs more than signing a hundred mails by it.
    return read_key(domain, selector, decrypt(secret))
