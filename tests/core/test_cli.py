from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy.exc import DBAPIError

from core import cli
from core.checks import database_problem
from core.db import db
from core.signals import check_asked

ENVOI = Path(sys.executable).with_name("envoi")


@dataclass(frozen=True)
class Said:
    """What a command has said."""

    code: int
    out: str
    err: str


def envoi(folder: Path, *arguments: str, **settings: str) -> Said:
    """Run the command with settings of its own, in this process: starting another for each costs a second."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
    env |= {"ENVOI_DATA_DIR": str(folder), "ENVOI_REDIS_URL": "redis://127.0.0.1:1/0", **settings}
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["envoi", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        cli._application.clear()
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            for app in cli._application:
                with app.app_context():
                    db.session.remove()
                    db.engine.dispose()
            cli._application.clear()
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated installation with one user."""
    folder = tmp_path_factory.mktemp("installation")
    assert envoi(folder, "db", "upgrade") == Said(0, "", "")
    added = envoi(
        folder, "user", "add", "anna@example.com", "--role", "administrator", "--password", "a long password"
    )
    assert added == Said(0, "anna@example.com may sign in.\n", "")
    return folder


def test_all_is_well_is_said_with_the_modules(installation: Path, redis_url: str) -> None:
    said = envoi(
        installation, "check", "--stopped", ENVOI_REDIS_URL=redis_url, ENVOI_MODULES="outbox,mail_config"
    )
    assert said == Said(0, "All is well. Modules: core, mail_config, outbox.\n", "")


def test_a_command_loads_nothing_that_makes_spreadsheets(tmp_path: Path) -> None:
    loaded = (
        "import sys; from core import cli; cli.application(); print({'core', 'openpyxl'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        env={
            **os.environ,
            "ENVOI_DATA_DIR": str(tmp_path),
            "PYTHONPATH": str(Path(cli.__file__).parent.parent),
        },
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == b"{'core'}"


def test_a_check_says_everything_that_is_wrong(tmp_path: Path) -> None:
    said = envoi(tmp_path, "check", ENVOI_MODULES="mail_config")
    assert said.code == 1
    assert said.err.splitlines() == [
        "- Migrations of core have not been applied: run `envoi db upgrade`.",
        "- Migrations of mail_config have not been applied: run `envoi db upgrade`.",
        "- Redis cannot be reached: mails are kept and wait.",
    ]


def test_a_database_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    url = "postgresql+psycopg://anna:hunter2@127.0.0.1:1/envoi"
    for arguments in (("check",), ("user", "list"), ("db", "upgrade")):
        said = envoi(tmp_path, *arguments, ENVOI_DATABASE_URL=url)
        assert said.code == 1
        assert "The database cannot be used (" in said.err
        assert "hunter2" not in said.err


def test_tables_that_are_not_there_are_a_sentence(tmp_path: Path) -> None:
    said = envoi(tmp_path, "user", "list")
    assert said.code == 1
    assert said.err.startswith("envoi: The database cannot be used (no such table")
    assert "envoi db upgrade" in said.err


def test_every_wrong_setting_is_listed(tmp_path: Path) -> None:
    said = envoi(
        tmp_path,
        "check",
        ENVOI_PORT="http",
        ENVOI_WORKERS="-1",
        ENVOI_DATABASE_URL="mysql://anna:hunter2@host/db",
        ENVOI_SECRET_KEY="hunter2",
    )
    assert (said.code, said.out) == (1, "")
    for name in ("ENVOI_PORT", "ENVOI_WORKERS", "ENVOI_DATABASE_URL", "ENVOI_SECRET_KEY"):
        assert said.err.count(name) == 1
    assert "hunter2" not in said.err


def test_settings_of_core_and_of_modules_are_told_together(tmp_path: Path) -> None:
    said = envoi(
        tmp_path,
        "check",
        ENVOI_PORT="http",
        ENVOI_OUTBOX_RETRY_MINUTES="a,b",
        ENVOI_OUTBOX_KEEP_DAYS="1_000",
        ENVOI_OUTBOX_GIVE_UP_DAYS="1e300",
        ENVOI_PLAYGROUND_SMTP_PORT="99999",
        ENVOI_MAIL_CONFIG_CA_FILE="/nowhere.pem",
        ENVOI_MAIL_CONFIG_EHLO_NAME="a b",
        ENVOI_DISTRIBUTION_ARCHIVE_DIR="here",
    )
    assert (said.code, said.out) == (1, "")
    for name in (
        "PORT must",
        "OUTBOX_RETRY_MINUTES must",
        "OUTBOX_KEEP_DAYS", "OUTBOX_GIVE_UP_DAYS must", "PLAYGROUND_SMTP_PORT", "MAIL_CONFIG_CA_FILE",
        "MAIL_CONFIG_EHLO_NAME", "DISTRIBUTION_ARCHIVE_DIR",
    ):  # fmt: skip
        assert said.err.count(f"ENVOI_{name}") == 1, said.err


def test_a_check_tells_of_places_that_others_read_and_of_a_key_that_opens_nothing(
    tmp_path: Path, redis_url: str
) -> None:
    assert envoi(tmp_path, "db", "upgrade").code == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "envoi.db")) as database:
        database.execute(
            "INSERT INTO mail_config_server (name, transport, host, port, encryption, username, secret, from_filter,"
            " priority, own_address, relay, ca_certificate, bounce_address, bounce_tokens, active, tested_fingerprint)"
            " VALUES ('Main', 'mail_config.smtp', 'smtp.example.com', 587, 'starttls', 'anna', x'00', '', 10, '', 0,"
            " '', '', 0, 1, '')"
        )
        database.commit()
    (tmp_path / "secret.key").chmod(0o644)
    said = envoi(tmp_path, "check", ENVOI_REDIS_URL=redis_url)
    assert said.code == 1
    assert "The password of the mail server “Main” cannot be read" in said.err
    assert "secret.key can be read by other users" in said.err


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = DBAPIError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    assert "Make room on the disk" in database_problem(full)
    monkeypatch.setattr(cli, "checks", mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
    said = envoi(tmp_path, "check")
    assert (said.code, said.err) == (1, "envoi: Nothing can be written: No space left.\n")


def test_the_installed_command_ends_as_it_should(tmp_path: Path) -> None:
    env = {**os.environ, "ENVOI_DATA_DIR": str(tmp_path), "ENVOI_PORT": "http", "ENVOI_WORKERS": "-1"}
    done = subprocess.run([ENVOI, "check"], env=env, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "envoi: - ENVOI_PORT must be a whole number from 1 to 65535, not “http”.\n"
        "- ENVOI_WORKERS must be a whole number from 0 to 64, not “-1”.\n"
    )


def test_every_wrong_module_is_listed(tmp_path: Path) -> None:
    said = envoi(tmp_path, "check", ENVOI_MODULES="outbox,ghost")
    assert said.code == 1
    assert "ENVOI_MODULES names ghost, which is not installed." in said.err
    assert "Module outbox needs mail_config, which is not enabled." in said.err


def test_users_are_listed_for_people_and_for_scripts(installation: Path) -> None:
    (row,) = json.loads(envoi(installation, "user", "list", "--json").out)
    assert row == {
        "login": "anna@example.com",
        "name": "anna@example.com",
        "roles": "administrator",
        "active": True,
    }
    table = envoi(installation, "user", "list").out.splitlines()
    assert table[0].split() == ["LOGIN", "NAME", "ROLES", "ACTIVE"]
    assert table[1].split()[0] == "anna@example.com"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("user", "add", "ben@example.com", "--role", "emperor"), "There is no role emperor."),
        (("user", "add", "anna@example.com", "--role", "support"), "Another user has this email address."),
        (
            ("user", "add", "nonsense", "--role", "support"),
            "“nonsense” is not a valid email address: there is",
        ),
        (("user", "password", "ben@example.com"), "There is no user ben@example.com."),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    installation: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    said = envoi(installation, *arguments, "--password", "a long password")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"envoi: {sentence}")


def test_a_short_password_is_refused(installation: Path) -> None:
    assert "at least 10 characters" in envoi(
        installation, "user", "password", "anna@example.com", "--password", "short"
    ).err  # fmt: skip


def test_a_typed_password_is_not_shown(installation: Path) -> None:
    done = subprocess.run(
        [ENVOI, "user", "password", "anna@example.com"],
        env={**os.environ, "ENVOI_DATA_DIR": str(installation)},
        input="another long one\nanother long one\n",
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        start_new_session=True,  # without a terminal, as in a container
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("anna@example.com has a new password.\n")
    assert "another long one" not in done.stdout + done.stderr


def test_models_and_migrations_agree(installation: Path) -> None:
    assert envoi(installation, "db", "check").out == "Models and migrations agree.\n"


def test_an_unknown_module_gets_no_migration(installation: Path) -> None:
    said = envoi(installation, "db", "revision", "ghost", "-m", "x")
    assert (said.code, said.err) == (1, "envoi: No enabled module is named ghost.\n")


def test_an_unknown_command_is_a_sentence(installation: Path) -> None:
    said = envoi(installation, "fly")
    assert said.code == 2
    assert "No such command 'fly'" in said.err


def test_help_lists_the_commands_of_the_modules(installation: Path) -> None:
    said = envoi(installation, "--help").out
    for name in ("up", "worker", "db", "user", "server", "outbox", "send", "mailbox"):
        assert f"\n  {name} " in said


def test_what_modules_find_is_said_by_the_check(installation: Path) -> None:
    def found(_sender: object) -> list[str]:
        return ["“Offer” cannot be used."]

    with check_asked.connected_to(found):
        assert "- “Offer” cannot be used.\n" in envoi(installation, "check").err
    assert "Offer" not in envoi(installation, "check").err


def test_an_upgrade_without_a_database_does_not_advise_an_upgrade(tmp_path: Path) -> None:
    said = envoi(tmp_path, "db", "upgrade", ENVOI_DATABASE_URL="postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert said.code == 1
    assert said.err.startswith("envoi: The database cannot be used (")
    assert "envoi db upgrade" not in said.err
