"""The environment in which Alembic runs the migrations of one module."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from core.db import db
from core.migrate import foreign_keys_off, metadata_of, only_objects_of, only_tables_of, version_table

module = context.config.attributes["module"]


def render_item(type_: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Write the plain type of the column: a migration must not change when our types do."""
    return f"sa.{item.impl!r}" if type_ == "type" and isinstance(item, TypeDecorator) else False


with db.engine.connect().execution_options(envoi_write=True) as connection, foreign_keys_off(connection):
    context.configure(
        connection=connection,
        target_metadata=metadata_of(module),
        version_table=version_table(module),
        include_name=only_tables_of(module),
        include_object=only_objects_of(module),
        compare_type=True,
        render_as_batch=True,
        render_item=render_item,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
