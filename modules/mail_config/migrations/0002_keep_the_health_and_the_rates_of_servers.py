"""Keep the health and the rates of servers"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "abf4c4d79a84"
down_revision = "b450108315d8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_config_server_health",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_words", sa.Text(), nullable=False),
        sa.Column("failure_advice", sa.String(length=32), nullable=False),
        sa.Column("open_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("next_probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttles", sa.Integer(), nullable=False),
        sa.Column("throttled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttle_words", sa.Text(), nullable=False),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_mail_config_server_health_server_id_mail_config_server"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_mail_config_server_health")),
    )
    with op.batch_alter_table("mail_config_server", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rate_per_minute", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("rate_per_day", sa.Integer(), nullable=True))

    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.add_column(sa.Column("keep_days", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.drop_column("keep_days")

    with op.batch_alter_table("mail_config_server", schema=None) as batch_op:
        batch_op.drop_column("rate_per_day")
        batch_op.drop_column("rate_per_minute")

    op.drop_table("mail_config_server_health")
