"""The environment in which Alembic runs the migrations of one module."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy.types import TypeDecorator

from core.compatibility import note
from core.db import db, guards
from core.migrate import (
    foreign_keys_off,
    metadata_of,
    only_objects_of,
    only_tables_of,
    pending,
    present_version,
    version_table,
)

module = context.config.attributes["module"]


def render_item(type_: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Write the plain type of the column: a migration must not change when our types do."""
    return f"sa.{item.impl!r}" if type_ == "type" and isinstance(item, TypeDecorator) else False


def _moves() -> bool:
    """Return whether migrations will be applied, or taken back."""
    try:
        wanted = context.get_revision_argument()
    except KeyError:
        return False  # a migration is being written
    heads = (wanted,) if isinstance(wanted, str) else tuple(wanted or ())
    return heads != context.get_context().get_current_heads()


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
        # SQLite's as well, whose transactions hold them since Envoi begins them itself: all migrations of a module and
        # its guards, or none.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Whoever waits for a table lets all others wait who come later.
            seconds = int(context.config.attributes.get("lock_seconds", 0))
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds}s'")
        moves = _moves()
        strangers = guards.remove(connection) if moves else {}
        context.run_migrations()
        if moves:
            script = ScriptDirectory.from_config(context.config)
            note(connection, module.name, script, present_version(module, connection))
        # Taken back to a former version, the tables are not those that the guards are about.
        if not pending(module, connection):
            guards.install(connection, strangers.values())
