"""Date documents by the day of the company"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b83e0f5a6d19"
down_revision = "3c8a51f7e960"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("core_company", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("timezone", sa.String(length=64), server_default="Europe/Paris", nullable=False)
        )
    # Where most of its people are, as far as anybody has said: a company that was there before said nothing itself.
    op.execute(
        """
        UPDATE core_company SET timezone = COALESCE(
            (
                SELECT core_user.timezone FROM core_user
                JOIN core_user_company ON core_user_company.user_id = core_user.id
                WHERE core_user_company.company_id = core_company.id AND core_user.active
                GROUP BY core_user.timezone
                ORDER BY count(*) DESC, core_user.timezone
                LIMIT 1
            ),
            'Europe/Paris'
        )
        """
    )


def downgrade() -> None:
    with op.batch_alter_table("core_company", schema=None) as batch_op:
        batch_op.drop_column("timezone")
