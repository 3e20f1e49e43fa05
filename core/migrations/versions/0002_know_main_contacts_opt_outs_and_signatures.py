"""Know main contacts, opt-outs and signatures"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "af79aa17c910"
down_revision = "b88190be9c7c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_main", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("core_user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("signature_html", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("core_user", schema=None) as batch_op:
        batch_op.drop_column("signature_html")

    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.drop_column("opted_out_at")
        batch_op.drop_column("is_main")
