"""Let nobody join the visits of a walk-in"""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from alembic import op

from core.registry import current_settings

revision = "e4a91c7f30d2"
down_revision = "7d3e1b9f60ac"
branch_labels = None
depends_on = None

_A_STEP = 1000


def _hash(key: bytes, text: str) -> str:
    digest = hmac.new(key, f"envoi/private/1:{text}".encode(), hashlib.sha256).hexdigest()
    return f"private-{digest[:12]}@private.invalid"


def upgrade() -> None:
    """Salt what stands for an address by what its mail is about: by the hash itself, so the address is not needed."""
    connection, key = op.get_bind(), current_settings().secret_key.encode()
    rows = connection.execute(
        sa.text(
            "SELECT recipient.id, recipient.addr_spec, mail.id, mail.document_id, mail.message_id "
            "FROM outbox_recipient recipient JOIN outbox_mail mail ON mail.id = recipient.mail_id "
            "WHERE recipient.addr_spec LIKE 'private-%@private.invalid'"
        )
    ).all()
    changed = []
    for recipient_id, former, mail_id, document_id, message_id in rows:
        salt = f"document {document_id}" if document_id is not None else message_id
        salted = _hash(key, f"{salt}:{former}")
        changed.append({"id": recipient_id, "mail": mail_id, "former": former, "salted": salted})
    for statement in (
        "UPDATE outbox_recipient SET addr_spec = :salted WHERE id = :id",
        "UPDATE outbox_search SET text = replace(text, :former, :salted) WHERE mail_id = :mail",
        "UPDATE outbox_event SET detail = replace(detail, :former, :salted) WHERE mail_id = :mail AND detail <> ''",
    ):
        for start in range(0, len(changed), _A_STEP):
            connection.execute(sa.text(statement), changed[start : start + _A_STEP])


def downgrade() -> None:
    """Leave what stands for addresses as it is: nobody knows any more whose visits belong together."""
