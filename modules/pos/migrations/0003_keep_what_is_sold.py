"""Keep what is sold"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9a2c64e8f15b"
down_revision = "7d51c0f3a9e4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("currency", sa.String(length=3), nullable=False, server_default=""))
    # That of its first ticket, since the company may have got another one; else the company's.
    op.execute(
        "UPDATE pos_session SET currency = coalesce("
        "(SELECT currency FROM core_document WHERE id = (SELECT min(document_id) FROM pos_ticket "
        "WHERE pos_ticket.session_id = pos_session.id)), "
        "(SELECT core_company.currency FROM core_company JOIN pos_register "
        "ON pos_register.company_id = core_company.id WHERE pos_register.id = pos_session.register_id))"
    )
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.alter_column("currency", existing_type=sa.String(length=3), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.drop_column("currency")
