"""Connect accounts by OAuth 2."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "b7d2e94c10a5"
down_revision = "b7d41e6a90c5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_config_account",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("connected_at", UtcDateTime(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("refresh_secret", sa.LargeBinary(), nullable=True),
        sa.Column("access_secret", sa.LargeBinary(), nullable=True),
        sa.Column("access_ends_at", UtcDateTime(), nullable=True),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("ends_for_sure", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("refreshing_until", UtcDateTime(), nullable=True),
        sa.Column("lost_at", UtcDateTime(), nullable=True),
        sa.Column("lost_words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_mail_config_account_server_id_mail_config_server"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_mail_config_account")),
    )
    op.create_table(
        "mail_config_oauth_client",
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("tenant", sa.String(120), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_mail_config_oauth_client")),
    )
    op.create_table(
        "mail_config_consent",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("nonce_hash", sa.String(64), nullable=False),
        sa.Column("session_hash", sa.String(64), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("api", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["core_user.id"],
            name=op.f("fk_mail_config_consent_user_id_core_user"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_mail_config_consent_server_id_mail_config_server"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_mail_config_consent_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_mail_config_consent")),
    )


def downgrade() -> None:
    op.drop_table("mail_config_consent")
    op.drop_table("mail_config_oauth_client")
    op.drop_table("mail_config_account")
