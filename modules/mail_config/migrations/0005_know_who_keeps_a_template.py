"""Know who keeps a template"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5c1f80d2ab36"
down_revision = "9d2e61c7f048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_mail_config_template_owner_id_core_user"),
            "core_user",
            ["owner_id"],
            ["id"],
            ondelete="CASCADE",
        )
        batch_op.create_index(batch_op.f("ix_mail_config_template_owner_id"), ["owner_id"])


def downgrade() -> None:
    # Without an owner each would be everybody's.
    op.execute("DELETE FROM mail_config_template WHERE owner_id IS NOT NULL")
    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_config_template_owner_id"))
        batch_op.drop_constraint(batch_op.f("fk_mail_config_template_owner_id_core_user"), type_="foreignkey")
        batch_op.drop_column("owner_id")
