"""Name paper and template in the settings"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7d51c0f3a9e4"
down_revision = "0bc0b2d78557"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pos_settings", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("receipt_format", sa.String(length=32), nullable=False, server_default="roll80")
        )
        batch_op.add_column(sa.Column("template_id", sa.Integer(), nullable=True))
    with op.batch_alter_table("pos_register", schema=None) as batch_op:
        batch_op.alter_column("receipt_format", existing_type=sa.String(length=32), nullable=True)


def downgrade() -> None:
    op.execute("UPDATE pos_register SET receipt_format = 'roll80' WHERE receipt_format IS NULL")
    with op.batch_alter_table("pos_register", schema=None) as batch_op:
        batch_op.alter_column("receipt_format", existing_type=sa.String(length=32), nullable=False)
    with op.batch_alter_table("pos_settings", schema=None) as batch_op:
        batch_op.drop_column("template_id")
        batch_op.drop_column("receipt_format")
