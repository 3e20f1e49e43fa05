"""The group `envoi outbox`, and what its commands share."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from core.db import db
from core.errors import EnvoiError
from modules.outbox.about import documents_of
from modules.outbox.models import OutgoingMail
from modules.outbox.transitions import acting_as


@contextmanager
def by_command_line() -> Iterator[None]:
    """Name the command line and who runs it as what acts, for the record of every step."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an id without an account, as in a container
        name = str(os.getuid())
    with acting_as(f"command line ({name})"):
        yield


@click.group()
def outbox() -> None:
    """Look after the emails that leave."""


def get_mail(mail_id: int) -> OutgoingMail:
    """Return a mail by its id.

    Raises:
        EnvoiError: There is none.
    """
    mail = db.session.get(OutgoingMail, mail_id) if 0 < mail_id < 2**31 else None
    if mail is None:
        raise EnvoiError(f"There is no email {mail_id}.")
    return mail


def row_of(mail: OutgoingMail) -> dict[str, Any]:
    """Return a mail as one line of a table or one object of JSON."""
    return {
        "id": mail.id,
        "state": mail.state.value,
        "accepted": f"{mail.accepted_count}/{mail.recipient_count}",
        "to": ", ".join(recipient.addr_spec for recipient in mail.recipients),
        "document": ", ".join(document.number for document in documents_of(mail)),
        "subject": mail.subject,
        "failure": mail.failure_kind.value if mail.failure_kind else "",
        "submitted_at": mail.submitted_at.isoformat(timespec="seconds"),
    }
