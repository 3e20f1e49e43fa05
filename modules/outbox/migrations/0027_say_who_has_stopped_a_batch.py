"""Say who has stopped a batch, and ask about dead addresses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "5e0c7b29d814"
down_revision = "d3b65f0a42c8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox_run_item",
        sa.Column("despite_dead", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("outbox_run", sa.Column("acted_at", UtcDateTime(), nullable=True))
    with op.batch_alter_table("outbox_run") as batch:
        batch.add_column(sa.Column("acted_by_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_outbox_run_acted_by_id_core_user"),
            "core_user",
            ["acted_by_id"],
            ["id"],
            ondelete="SET NULL",
        )


def downgrade() -> None:
    # The former version knows no dead addresses in a batch: it holds them when it writes.
    op.execute("UPDATE outbox_run_item SET state = 'unchecked', reason = NULL WHERE reason = 'dead_address'")
    with op.batch_alter_table("outbox_run") as batch:
        batch.drop_constraint(op.f("fk_outbox_run_acted_by_id_core_user"), type_="foreignkey")
        batch.drop_column("acted_by_id")
    op.drop_column("outbox_run", "acted_at")
    op.drop_column("outbox_run_item", "despite_dead")
