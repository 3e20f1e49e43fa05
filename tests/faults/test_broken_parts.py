"""The table of broken parts: what `envoi check`, `/health/ready`, the pages and the log say of each.

docs/operating/checklist.md shows it; `test_the_table_is_shown` holds both together.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import shutil
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import text, update

from core import checks, clock, kept
from core.checks import checks as all_checks
from core.db import db, end_reading, transaction
from core.installation.models import Installation, Sign
from core.pulse import Heart, Part
from core.schema_watch import SchemaWatch
from modules.mail_config.servers.service import save_server
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft

pytestmark = pytest.mark.smtp
CHECKLIST = Path(__file__).parents[2] / "docs" / "operating" / "checklist.md"


def long_ago() -> dt.datetime:
    return clock.now() - dt.timedelta(hours=1)


class House:
    """An installation of which one part is broken."""

    def __init__(self, app: Flask, redis, monkeypatch: pytest.MonkeyPatch, mail_id: int) -> None:
        self.app, self.redis, self.monkeypatch, self.mail_id = app, redis, monkeypatch, mail_id
        self.settings = app.extensions["envoi_settings"]
        self.connection = Redis.from_url(redis.url)
        self.hearts = {part: Heart(self.connection, self.settings.queue, part, "x:1") for part in Part}
        for heart in self.hearts.values():
            heart.beat()

    def change(self, **settings: object) -> None:
        """Give the application other settings."""
        self.app.extensions["envoi_settings"] = dataclasses.replace(self.settings, **settings)


def no_worker(house: House) -> None:
    house.hearts[Part.WORKER].stop()


def no_scheduler(house: House) -> None:
    house.hearts[Part.SCHEDULER].stop()


def redis_away(house: House) -> None:
    house.redis.kill()


def redis_wants_a_password(house: House) -> None:
    house.connection.config_set("requirepass", "another")
    house.app.extensions["envoi_queue"].connection.connection_pool.disconnect()


def other_key(house: House) -> None:
    with transaction() as session:
        session.execute(text("UPDATE mail_config_server SET secret = :octets"), {"octets": b"\0"})


def older(house: House) -> None:
    _version("b450108315d8")


def newer(house: House) -> None:
    _version("ffffffffffff")


def _version(version: str) -> None:
    with transaction() as session:
        for statement in (
            "UPDATE core_version_mail_config SET version_num = :version",
            "UPDATE core_oldest_program SET version = :version WHERE module = 'mail_config'",
        ):
            session.execute(text(statement), {"version": version})


def full_disk(house: House) -> None:
    usage = shutil.disk_usage(house.settings.data_dir)._replace(free=5_000_000)
    house.monkeypatch.setattr(checks.shutil, "disk_usage", lambda _path: usage)


def open_folder(house: House) -> None:
    house.settings.data_dir.chmod(0o755)


def clocks_apart(house: House) -> None:
    here = checks.time.time
    house.monkeypatch.setattr(checks, "time", types.SimpleNamespace(time=lambda: here() + 90))


def untrusted_proxy(house: House) -> None:
    house.change(base_url="https://envoi.example.com")


def playground(house: House) -> None:
    house.change(base_url="https://envoi.example.com", trusted_proxies=1)


def unknown_setting(house: House) -> None:
    house.change(module_settings={"OUTBOX_KEEP_DAY": "5"})


def held(house: House) -> None:
    with transaction() as session:
        session.execute(update(Installation).values(held_since=long_ago(), held_sign=Sign.TOLD))


@dataclass(frozen=True)
class Broken:
    """What is said of a part that is broken.

    Attributes:
        how: Breaks it.
        check: What `envoi check` says.
        ready: What `/health/ready` says.
        page: What the page of an email that waits says, or "".
        log: What the log of the web server says, or "".
    """

    how: Callable[[House], None]
    check: str
    ready: str = "ready"
    page: str = ""
    log: str = ""


AWAY = "ready; queue away, emails wait"
FOREIGN = "not ready: tables of another release"
UPGRADED = "Envoi was upgraded"
TABLE = {
    "no worker": Broken(
        no_worker, "No worker is alive, so no email leaves", page="no sending process is running"
    ),
    "no scheduler": Broken(no_scheduler, "No scheduler is alive", page="The scheduler is not running"),
    "Redis away": Broken(redis_away, "Redis cannot be reached", AWAY, "the queue (Redis) cannot be reached"),
    "wrong password of Redis": Broken(
        redis_wants_a_password,
        "Redis refuses the password of ENVOI_REDIS_URL",
        AWAY,
        "the queue (Redis) cannot be reached",
    ),
    "wrong or new key beside stored secrets": Broken(
        other_key, "The password of the mail server “.*” cannot be read"
    ),
    "tables older than the program": Broken(
        older, "Migrations of mail_config have not been applied", FOREIGN, UPGRADED, "start it again"
    ),
    "tables newer than the program": Broken(
        newer, "The tables of mail_config are newer than this program", FOREIGN, UPGRADED, "start it again"
    ),
    "disk nearly full": Broken(full_disk, "is nearly full: 5 MB are left"),
    "folders that others read": Broken(open_folder, "can be read by other users of this machine"),
    "clocks apart": Broken(clocks_apart, "are 0:01:30 apart: let both follow a time server"),
    "https without a trusted proxy": Broken(untrusted_proxy, "ENVOI_TRUSTED_PROXIES is 0"),
    "playground in production": Broken(playground, "The module playground, a mailbox for trying out"),
    "unknown setting": Broken(unknown_setting, "ENVOI_OUTBOX_KEEP_DAY"),
    "restored from a copy": Broken(held, "the data were restored", page="Emails are held"),
}


@pytest.fixture
def house(app: Flask, redis, company, server, monkeypatch) -> Iterator[House]:
    save_server(None, {"name": "Main", "host": "mail.example.com", "port": 587, "username": "me"}, "secret")
    mail = service.submit(draft(company, "a@example.com"), None)
    with transaction() as session:
        session.execute(update(OutgoingMail).values(state=MailState.QUEUED, next_attempt_at=long_ago()))
    app.extensions["envoi_schema_problem"] = SchemaWatch().problem
    built = House(app, redis, monkeypatch, mail.id)
    end_reading()
    yield built
    built.connection.close()


@pytest.mark.parametrize("part", TABLE)
def test_what_is_broken_is_told(house: House, part: str, make_user, sign_in, caplog) -> None:
    broken, app = TABLE[part], house.app
    client = sign_in(make_user("administrator"))
    end_reading()
    before = [one for one in all_checks(app) if "nobody takes them" not in one]
    assert before == []
    broken.how(house)
    db.session.remove()
    for name in ("pulse", "schema", "outbox_standstill"):
        kept.forget(name)
    said = all_checks(app)
    assert any(re.search(broken.check, one) for one in said), said
    ready = client.get("/health/ready")
    assert (ready.text.strip(), ready.status_code) == (broken.ready, 503 if "not" in broken.ready else 200)
    assert client.get("/health/live").status_code == 200
    page = client.get(f"/outbox/mails/{house.mail_id}")
    assert broken.page in page.text
    assert broken.log in caplog.text
    assert "Traceback" not in caplog.text


def test_the_table_is_shown() -> None:
    """Each part has its line among the papers, with what is said of it."""
    shown = CHECKLIST.read_text()
    for part, broken in TABLE.items():
        (line,) = (one for one in shown.splitlines() if one.startswith(f"| {part} |"))
        for words in (broken.check.replace(".*", "…"), broken.ready, broken.page, broken.log):
            assert words in line, part
