"""What the migrations of a module keep to."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect as inspect_database

from core import compatibility, migrate
from core.contract import Module
from core.db import Base, Encrypted, db
from core.manifest import CORE
from core.testing.applications import make_app
from core.testing.conformance.compatible import losses, tables_as_they_are
from core.testing.conformance.house import fail_if, tables_of, with_what_it_needs
from core.testing.fixtures import test_settings


class MigrationRules:
    """What the migrations of a module keep to."""

    def test_one_line_of_versions(self, module: Module) -> None:
        """One first version that carries the module's name as its branch label, and one last."""
        if not _has_migrations(module):
            return
        script = ScriptDirectory.from_config(migrate.alembic_config(module))
        bases, heads = script.get_bases(), script.get_heads()
        problems = []
        if len(bases) != 1 or len(heads) != 1:
            problems.append(
                f"{module.name} has {len(bases)} first and {len(heads)} last versions, not one of each."
            )
        for base in bases:
            labels = set(script.get_revision(base).branch_labels)
            if module.name not in labels:
                problems.append(f"The first version {base} must have branch_labels = (“{module.name}”,).")
        fail_if(problems)

    @pytest.mark.both_databases
    def test_models_and_migrations_agree(self, module: Module, app: Flask) -> None:
        """Migrated from an empty database, the tables are those of the models."""
        _ = app  # its database was migrated from empty
        if module.models is None:
            return  # nothing to agree with
        assert module.migrations, f"The module {module.name} has models and no migrations."
        assert not migrate.pending(module), f"Not every migration of {module.name} was applied."
        fail_if([f"{module.name}: {difference}" for difference in migrate.differences(module)])

    def test_a_former_program_lives_with_each_migration(self, module: Module, tmp_path: Path) -> None:
        """A migration takes nothing from processes of the release before it, unless it says why as `contract`."""
        if not _has_migrations(module):
            return
        script = ScriptDirectory.from_config(migrate.alembic_config(module))
        head = str(script.get_current_head())
        start = compatibility.last_contract(script, head)
        if start == head:
            return
        needed = tuple(one.name for one in with_what_it_needs(module) if one.name != CORE.name)
        app = make_app(test_settings(tmp_path, modules=needed or None))
        problems = []
        with app.app_context():
            try:
                for other in migrate.migrated_modules():
                    if other.name == module.name:
                        break
                    migrate.upgrade_module(other)
                migrate.upgrade_module(module, version=start)
                before = tables_as_they_are(db.engine, f"{module.name}_")
                for step in reversed(list(script.iterate_revisions(head, start))):
                    migrate.upgrade_module(module, version=step.revision)
                    after = tables_as_they_are(db.engine, f"{module.name}_")
                    problems += [f"{step.doc} ({step.revision}): {one}." for one in losses(before, after)]
                    before = after
            finally:
                db.session.remove()
                db.engine.dispose()
        if problems:
            problems.append(
                "Former programs cannot go on beside it: change it, or say why as `contract` in it."
            )
        fail_if(problems)

    def test_what_is_encrypted_can_be_encrypted_under_another_key(self, module: Module, app: Flask) -> None:
        """A change of keys finds each value by the one column of its table's key, and people by the name of the row."""
        _ = app  # models are loaded
        problems = []
        for table in (Base.metadata.tables[name] for name in sorted(tables_of(module))):
            for column in table.columns:
                if not isinstance(column.type, Encrypted):
                    continue
                if len(table.primary_key) != 1:
                    problems.append(
                        f"{table.name} has an encrypted column, and no primary key of one column."
                    )
                if column.type.named_by and column.type.named_by not in table.c:
                    problems.append(f"{table.name}.{column.name} is named by a column that is not there.")
        fail_if(problems)

    @pytest.mark.both_databases
    def test_downgrade_leaves_nothing(self, module: Module, app: Flask) -> None:
        """Taken back to before its first version, no table of the module is left; and it can come again."""
        if not _has_migrations(module):
            return
        modules = migrate.migrated_modules()
        after = modules[[other.name for other in modules].index(module.name) :]
        for other in reversed(after):
            try:
                command.downgrade(migrate.alembic_config(other), "base")
            except NotImplementedError as error:
                # Declared, and therefore allowed; whoever wants to go back must restore a backup.
                fail_if(
                    []
                    if str(error)
                    else [f"A migration of {other.name} cannot be undone and does not say why."]
                )
                return
        left = [
            name
            for name in inspect_database(db.engine).get_table_names()
            if migrate.only_tables_of(module)(name, "table", None)
        ]
        fail_if([f"The table {name} is still there after the downgrade of {module.name}." for name in left])
        migrate.upgrade(app)
        fail_if([f"{module.name}: {difference}" for difference in migrate.differences(module)])


def _has_migrations(module: Module) -> bool:
    """Return False for a module without migrations, which then must have no tables."""
    assert module.migrations or not tables_of(module), (
        f"The module {module.name} has tables and no migrations."
    )
    return module.migrations
