"""Keep copies in the Sent folder."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "c4a9171e5d20"
down_revision = "f31c8a5d7e02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_config_sent_folder",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("encryption", sa.String(32), nullable=False),
        sa.Column("folder", sa.String(250), nullable=False),
        sa.Column("found", sa.String(250), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("failure_kind", sa.String(32), nullable=True),
        sa.Column("failure_words", sa.Text(), nullable=False),
        sa.Column("failure_advice", sa.String(32), nullable=False),
        sa.Column("next_look_at", UtcDateTime(), nullable=True),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_mail_config_sent_folder_server_id_mail_config_server"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_mail_config_sent_folder")),
    )


def downgrade() -> None:
    op.drop_table("mail_config_sent_folder")
