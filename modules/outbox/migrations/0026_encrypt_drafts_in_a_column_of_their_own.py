"""Encrypt drafts in a column of their own"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d3b65f0a42c8"
down_revision = "e4a91c7f30d2"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."

SECRETS = (
    ("outbox_mailbox", "secret"),
    ("outbox_hook", "secret"),
    ("outbox_mail", "encrypted_link"),
    ("outbox_recipient", "encrypted_address"),
    ("outbox_run_item", "encrypted_choice"),
    ("outbox_draft", "encrypted_contents"),
)


def upgrade() -> None:
    op.add_column("outbox_draft", sa.Column("encrypted_contents", sa.LargeBinary(), nullable=True))
    octets = "convert_to({}, 'UTF8')" if _on_postgresql() else "CAST({} AS BLOB)"
    op.execute(
        f"UPDATE outbox_draft SET encrypted_contents = {octets.format('substr(contents, 8)')}, contents = '{{}}' "  # noqa: S608
        "WHERE substr(contents, 1, 7) = 'sealed:'"
    )


def downgrade() -> None:
    # The former version knows the key of ENVOI_SECRET_KEY alone, and no names: secrets under it are readable again.
    begins = "'\\x6b3a'::bytea" if _on_postgresql() else "x'6b3a'"
    for table, column in SECRETS:
        op.execute(
            f"UPDATE {table} SET {column} = substr({column}, 29) WHERE substr({column}, 1, 2) = {begins}"  # noqa: S608
        )
    text = "convert_from({}, 'UTF8')" if _on_postgresql() else "CAST({} AS TEXT)"
    op.execute(
        f"UPDATE outbox_draft SET contents = 'sealed:' || {text.format('encrypted_contents')} "  # noqa: S608
        "WHERE encrypted_contents IS NOT NULL"
    )
    op.drop_column("outbox_draft", "encrypted_contents")


def _on_postgresql() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")
