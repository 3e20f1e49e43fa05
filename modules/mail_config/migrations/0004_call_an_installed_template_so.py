"""Call an installed template so"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9d2e61c7f048"
down_revision = "2ccaa98ef752"
branch_labels = None
depends_on = None


def _move(former: str, new: str) -> None:
    """Make the table anew: with a mere renaming its key would keep the former name."""
    op.create_table(
        new,
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f(f"pk_{new}")),
    )
    op.execute(f"INSERT INTO {new} (key) SELECT key FROM {former}")  # noqa: S608 (our own names)
    op.drop_table(former)


def upgrade() -> None:
    _move("mail_config_shipped_mark", "mail_config_installed_template")


def downgrade() -> None:
    _move("mail_config_installed_template", "mail_config_shipped_mark")
