"""Whether the tables are still those with which a process was started."""

from __future__ import annotations

from sqlalchemy import column, literal, select, table, union_all
from sqlalchemy.exc import DBAPIError, OperationalError

from core.db import db
from core.migrate import migrated_modules, schema_problems, version_table


class SchemaWatch:
    """Notices, at the price of one small query, that the tables were migrated under a process that runs."""

    def __init__(self) -> None:
        tables = [table(version_table(module), column("version_num")) for module in migrated_modules()]
        self._query = union_all(*(select(literal(one.name), one.c.version_num) for one in tables))
        self._known = self._versions()

    def _versions(self) -> frozenset[tuple[str, str]]:
        with db.engine.connect() as connection:
            return frozenset((name, version) for name, version in connection.execute(self._query))

    def problem(self) -> str:
        """Return what is wrong with the tables now, in a sentence; "" while they are as they were."""
        now = None
        try:
            now = self._versions()
            if now == self._known:
                return ""
        except DBAPIError:
            pass  # a table of versions is gone, or the database is away
        try:
            problems = schema_problems()
        except OperationalError:
            return ""  # away: whoever needs it waits for it
        if not problems and now is not None:
            self._known = now  # of a newer release, beside which this one goes on
        return " ".join(problem.sentence for problem in problems)
