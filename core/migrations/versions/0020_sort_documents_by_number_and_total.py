"""Sort documents by number and total"""

from __future__ import annotations

from alembic import op

revision = "b8e2f50c7a61"
down_revision = "b7c40d9e1a35"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_core_document_kind_number_id", "core_document", ["kind", "number", "id"])
    op.create_index("ix_core_document_kind_total_id", "core_document", ["kind", "total", "id"])


def downgrade() -> None:
    op.drop_index("ix_core_document_kind_total_id", "core_document")
    op.drop_index("ix_core_document_kind_number_id", "core_document")
