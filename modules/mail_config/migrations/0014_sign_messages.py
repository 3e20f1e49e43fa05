"""Sign messages by keys of their domain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "7be2d04c91f6"
down_revision = "8e2f60b9d714"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_config_domain_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("domain", sa.String(253), nullable=False),
        sa.Column("selector", sa.String(63), nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("signs_since", UtcDateTime(), nullable=True),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_config_domain_key")),
        sa.UniqueConstraint("domain", "selector", name=op.f("uq_mail_config_domain_key_domain_selector")),
    )
    op.add_column("mail_config_server", sa.Column("signs_itself", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("mail_config_server", "signs_itself")
    op.drop_table("mail_config_domain_key")
