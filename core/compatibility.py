"""Which programs can work with the tables that a newer one has migrated.

A migration adds, or takes away: what it adds, processes of the former release do not see, so they go on beside the new
ones. One that takes away something a former program uses says so by its variable `contract`, and why. The last of
these that was applied is written down with the tables, and a program that does not know it stops. See docs/adr/0019.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from core.installation.models import OldestProgram


def contract_of(migration: Script) -> str:
    """Return why programs without a migration cannot work with its tables; "" where they can."""
    return str(getattr(migration.module, "contract", ""))


def last_contract(script: ScriptDirectory, version: str) -> str:
    """Return the version that a program must know to work with tables of a version."""
    line = list(script.iterate_revisions(version, "base"))
    return next((one.revision for one in line if contract_of(one)), line[-1].revision)


def note(connection: Connection, module: str, script: ScriptDirectory, version: str | None) -> None:
    """Write down with the tables of a module, in the transaction that migrates them, who can work with them.

    Args:
        connection: To the database.
        module: The name of the module.
        script: Its migrations.
        version: That its tables have now, or None where there are none.
    """
    if not _is_there(connection):
        return
    connection.execute(sa.delete(OldestProgram).where(OldestProgram.module == module))
    if version is not None:
        row = {"module": module, "version": last_contract(script, version)}
        connection.execute(sa.insert(OldestProgram).values(row))


def oldest(connection: Connection, module: str) -> str | None:
    """Return the version of a module that a program must know to work with its tables, or None where nobody says."""
    if not _is_there(connection):
        return None
    return connection.scalar(sa.select(OldestProgram.version).where(OldestProgram.module == module))


def _is_there(connection: Connection) -> bool:
    return sa.inspect(connection).has_table(OldestProgram.__tablename__)
