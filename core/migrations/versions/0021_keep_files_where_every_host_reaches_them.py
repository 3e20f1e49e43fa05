"""Keep files where every host reaches them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b5e2f70c91d4"
down_revision = "b8e2f50c7a61"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_file_store",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_core_file_store_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_file_store")),
    )
    op.create_table(
        "core_stored_file",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_core_stored_file")),
    )
    op.create_table(
        "core_stored_chunk",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["core_stored_file.sha256"],
            name=op.f("fk_core_stored_chunk_sha256_core_stored_file"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sha256", "number", name=op.f("pk_core_stored_chunk")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # PDFs and pictures are compressed already: trying it again costs more than it saves.
        op.execute("ALTER TABLE core_stored_chunk ALTER COLUMN octets SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("core_stored_chunk")
    op.drop_table("core_stored_file")
    op.drop_table("core_file_store")
