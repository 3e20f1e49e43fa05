"""Find what was handed over by its moment"""

from __future__ import annotations

from alembic import op

revision = "4f1c8a27be60"
down_revision = "e8c3f5a04d71"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_outbox_hand_over_at", "outbox_hand_over", ["at", "id"])


def downgrade() -> None:
    op.drop_index("ix_outbox_hand_over_at", table_name="outbox_hand_over")
