"""Name the keys of secrets"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "8e2f60b9d714"
down_revision = "c4a9171e5d20"
branch_labels = None
depends_on = None

SECRETS = (
    ("mail_config_server", "secret"),
    ("mail_config_account", "refresh_secret"),
    ("mail_config_account", "access_secret"),
    ("mail_config_oauth_client", "secret"),
    ("mail_config_consent", "verifier"),
)

_SERVERS = sa.text(
    "SELECT s.id, s.host, s.port, s.encryption, s.username, s.secret, s.from_filter, s.own_address, s.ca_certificate,"
    " s.bounce_address, s.bounce_tokens, s.transport, s.tested_fingerprint, a.provider, a.address"
    " FROM mail_config_server s LEFT JOIN mail_config_account a ON a.server_id = s.id"
    " WHERE s.secret IS NOT NULL AND s.tested_fingerprint <> ''"
)


def upgrade() -> None:
    # What was encrypted before has no name of a key, and is read as it is. A test that was passed proves the same
    # secret, which is known by its identity from now on, so that another key changes nothing about it.
    connection = op.get_bind()
    for row in connection.execute(_SERVERS).mappings().all():
        secret = bytes(row["secret"])
        if row["tested_fingerprint"] == _fingerprint(row, secret):
            connection.execute(
                sa.text("UPDATE mail_config_server SET tested_fingerprint = :now WHERE id = :id"),
                {"now": _fingerprint(row, hashlib.sha256(secret).hexdigest()[:16]), "id": row["id"]},
            )


def _fingerprint(row: Any, secret: object) -> str:
    """Return the mark of what a test has proved, as it was and is made."""
    proved: tuple[object, ...] = (
        row["host"], row["port"], row["encryption"], row["username"], secret, row["from_filter"],
    )  # fmt: skip
    proved += tuple(text for text in (row["own_address"], row["ca_certificate"]) if text)
    if row["bounce_address"] or row["bounce_tokens"]:
        proved += (row["bounce_address"], bool(row["bounce_tokens"]))
    if row["provider"] is not None:
        proved += (row["provider"], row["address"])
    if row["transport"] != "mail_config.smtp":
        proved += (row["transport"],)
    return hashlib.sha256(repr(proved).encode()).hexdigest()


def downgrade() -> None:
    # The former version knows the key of ENVOI_SECRET_KEY alone, and no names: secrets under it are readable again.
    # Servers with a password have to be tested again.
    begins = "'\\x6b3a'::bytea" if op.get_bind().dialect.name == "postgresql" else "x'6b3a'"
    for table, column in SECRETS:
        op.execute(
            f"UPDATE {table} SET {column} = substr({column}, 29) WHERE substr({column}, 1, 2) = {begins}"  # noqa: S608
        )
