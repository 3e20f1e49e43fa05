from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import create_engine, inspect, select, text

from core import demonstration, loader, migrate
from core.app import create_app
from core.auth.models import Grant, Role
from core.config import Settings
from core.contract import Module
from core.db import db, end_reading, transaction
from core.errors import EnvoiError
from core.manifest import CORE
from core.migrate import MigrationError
from core.testing.fixtures import running_app, test_settings

both = pytest.mark.both_databases


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


@pytest.fixture
def empty_app(tmp_path: Path) -> Iterator[Flask]:
    """Core alone, before the first migration."""
    app = create_app(test_settings(tmp_path, modules=("playground",)), testing=True)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def versions(module: Module) -> list[str]:
    with db.engine.connect() as connection:
        return list(connection.scalars(text(f"SELECT version_num FROM {migrate.version_table(module)}")))  # noqa: S608


def test_every_module_keeps_its_place_in_a_table_of_its_own(app: Flask) -> None:
    for module in migrate.migrated_modules():
        assert len(versions(module)) == 1
        assert not migrate.pending(module)


def test_what_was_not_applied_is_pending(empty_app: Flask) -> None:
    assert migrate.pending(CORE)
    assert inspect(db.engine).get_table_names() == []
    migrate.upgrade(empty_app)
    assert not migrate.pending(CORE)


@both
def test_migrating_again_changes_nothing(app: Flask) -> None:
    before = {module.name: versions(module) for module in migrate.migrated_modules()}
    grants = db.session.scalars(select(Grant.permission)).all()
    migrate.upgrade(app)
    end_reading()
    assert {module.name: versions(module) for module in migrate.migrated_modules()} == before
    assert db.session.scalars(select(Grant.permission)).all() == grants


@both
def test_a_difference_between_tables_and_models_is_found(app: Flask) -> None:
    assert migrate.differences(CORE) == []
    with transaction() as session:
        session.execute(text("ALTER TABLE core_partner ADD COLUMN stray INTEGER"))
    (difference,) = migrate.differences(CORE)
    assert "stray" in str(difference)


def test_tables_of_modules_that_are_not_enabled_are_left_alone(app: Flask) -> None:
    with transaction() as session:
        session.execute(text("CREATE TABLE gone_thing (id INTEGER)"))
        session.execute(text("CREATE TABLE core_version_gone (version_num TEXT)"))
    assert all(migrate.differences(module) == [] for module in migrate.migrated_modules())


def test_a_longer_name_keeps_its_tables_from_a_shorter_one(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = Module(name="core_extra", version="1", title="Extra", package="core")
    monkeypatch.setattr(loader, "discover", lambda: {"core_extra": extra})
    of_core, of_extra = migrate.only_tables_of(CORE), migrate.only_tables_of(extra)
    assert of_core("core_user", "table", None)
    assert not of_core("core_extra_thing", "table", None)
    assert of_extra("core_extra_thing", "table", None)
    assert not of_extra("core_user", "table", None)


FIRST = """
revision = "f1"
down_revision = None
branch_labels = ("shop",)
depends_on = None

import sqlalchemy as sa
from alembic import op

def upgrade():
    op.create_table("shop_owner", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(9)))
    op.create_table(
        "shop_thing",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner_id", sa.Integer, sa.ForeignKey("shop_owner.id", ondelete="CASCADE"), nullable=False),
    )

def downgrade():
    raise NotImplementedError("not here")
"""

# On SQLite this makes the table anew and drops the former one.
WIDEN = """
revision = "f2"
down_revision = "f1"
branch_labels = None
depends_on = None

import sqlalchemy as sa
from alembic import op

def upgrade():
    with op.batch_alter_table("shop_owner") as batch:
        batch.alter_column("name", type_=sa.String(90), existing_type=sa.String(9))

def downgrade():
    raise NotImplementedError("not here")
"""

ORPHAN = WIDEN.replace(
    'with op.batch_alter_table("shop_owner") as batch:', 'op.execute("DELETE FROM shop_owner")'
).replace("        batch.alter_column", "    0 and op.alter_column")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """A module whose first migration was applied and whose tables hold a row each."""
    package = tmp_path / "shop_of_a_test"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "migrations" / "0001_first.py").write_text(FIRST)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Module(name="shop", version="1", title="Shop", package="shop_of_a_test")


def fill(shop: Module) -> None:
    command.upgrade(migrate.alembic_config(shop), "head")
    with transaction() as session:
        session.execute(text("INSERT INTO shop_owner (id, name) VALUES (1, 'Anna')"))
        session.execute(text("INSERT INTO shop_thing (id, owner_id) VALUES (1, 1)"))


@both
def test_changing_a_column_deletes_no_row_that_refers_to_its_table(app: Flask, shop: Module) -> None:
    fill(shop)
    (migrate.versions_folder(shop) / "0002_widen.py").write_text(WIDEN)
    command.upgrade(migrate.alembic_config(shop), "head")
    end_reading()
    assert db.session.scalars(text("SELECT owner_id FROM shop_thing")).all() == [1]
    assert db.session.scalars(text("SELECT name FROM shop_owner")).all() == ["Anna"]


def test_a_migration_that_leaves_orphans_is_told(app: Flask, shop: Module) -> None:
    fill(shop)
    (migrate.versions_folder(shop) / "0002_orphan.py").write_text(ORPHAN)
    with pytest.raises(EnvoiError, match="rows of shop_thing refer to rows that are not there"):
        command.upgrade(migrate.alembic_config(shop), "head")


def test_foreign_keys_hold_again_after_a_migration(empty_app: Flask) -> None:
    migrate.upgrade(empty_app)
    with db.engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_revision_is_written_with_the_modules_name(app: Flask, shop: Module) -> None:
    (migrate.versions_folder(shop) / "0001_first.py").unlink()
    path = migrate.revision(shop, "Make it")
    assert path.parent == migrate.versions_folder(shop)
    written = path.read_text()
    assert "branch_labels = ('shop',)" in written or 'branch_labels = ("shop",)' in written
    assert "core_user" not in written


def test_what_one_first_start_inserts_a_second_leaves_alone(empty_app: Flask) -> None:
    migrate.upgrade(empty_app)
    with transaction() as session:
        role = session.scalars(select(Role).where(Role.code == "cashier")).one()
        role.name, role.grants = "Till", []
    migrate.upgrade(empty_app)
    end_reading()
    role = db.session.scalars(select(Role).where(Role.code == "cashier")).one()
    assert (role.name, role.grants) == ("Till", [])


def test_demonstration_data_goes_into_an_empty_database_only(empty_app: Flask) -> None:
    migrate.upgrade(empty_app)
    assert demonstration.load_demo(empty_app)
    assert not demonstration.load_demo(empty_app)


def test_nothing_is_left_of_a_migration_that_fails(app: Flask, shop: Module) -> None:
    fill(shop)
    broken = WIDEN.replace(
        "    with op", '    op.execute("CREATE TABLE shop_half (id INTEGER)")\n    with op'
    )
    broken = broken.replace("def downgrade", '    op.execute("nonsense")\n\ndef downgrade')
    (migrate.versions_folder(shop) / "0002_broken.py").write_text(broken)
    with pytest.raises(Exception, match="nonsense"):
        command.upgrade(migrate.alembic_config(shop), "head")
    assert "shop_half" not in inspect(db.engine).get_table_names()
    assert versions(shop) == ["f1"]
    engine = create_engine(db.engine.url)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT owner_id FROM shop_thing")).all() == [1]
    engine.dispose()


@both
def test_a_migration_that_the_database_refuses_is_named(app: Flask, shop: Module) -> None:
    """A column that must have a value cannot be added to rows that are there, unless the migration gives one."""
    fill(shop)
    demanding = WIDEN[: WIDEN.index("def upgrade")] + (
        "def upgrade():\n"
        "    column = sa.Column('weight', sa.Integer, nullable=False)\n"
        "    op.add_column('shop_thing', column)\n"
    )
    (migrate.versions_folder(shop) / "0002_add_weight.py").write_text(demanding)
    with pytest.raises(MigrationError) as refused:
        migrate.upgrade_module(shop)
    said = str(refused.value)
    assert said.startswith("Module shop: the migration 0002_add_weight cannot be applied (")
    assert "weight" in said or "NOT NULL" in said, "the words of the database"
    assert said.endswith("The tables of the module are as they were before.")
    assert versions(shop) == ["f1"]
    with_default = demanding.replace("nullable=False", "nullable=False, server_default='1'")
    (migrate.versions_folder(shop) / "0002_add_weight.py").write_text(with_default)
    migrate.upgrade_module(shop)
    assert versions(shop) == ["f2"]
