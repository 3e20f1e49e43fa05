"""After a restore nothing leaves until a person has seen what was waiting, and then only what was chosen, once."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from core import jobs, migrate
from core.config import Settings
from core.db import db, transaction
from core.embedded import free_port
from core.installation import marker
from core.installation import service as installation
from core.installation.models import Installation
from core.testing.fixtures import running_app
from modules.outbox import service
from modules.outbox.delivery import claims
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from modules.outbox.restored import service as restored
from tests.faults.restoring import Backup, copy_folder, disconnect, tar_folder
from tests.outbox.processes import Worker, acceptances, eventually, states_of, sweep

pytestmark = pytest.mark.smtp


@pytest.fixture
def backup(app: Flask, tmp_path: Path) -> Iterator[Callable[[], Backup]]:
    made: list[Backup] = []

    def make() -> Backup:
        made.append(Backup(app, tmp_path / f"backup-{len(made)}"))
        return made[-1]

    yield make
    disconnect()
    for one in made:
        one.remove()


def all_sent(ids: list[int]) -> Callable[[], bool]:
    return lambda: states_of(ids) == ["sent"] * len(ids)


def held() -> installation.Hold | None:
    db.session.rollback()  # or what was read before would be read again
    return installation.hold()


def worked(app: Flask, ids: list[int]) -> bool:
    """Ask for mails, and return True once a worker has done all that it was asked for here."""
    redis = jobs.queue_for(app).connection

    def asked_for() -> set[bytes]:
        return {key for key in redis.scan_iter("rq:job:*") if key.count(b":") == 2}

    # What a worker was at that was killed stays begun for ever.
    before = asked_for()
    for mail_id in ids:
        jobs.enqueue("outbox.deliver_mails", [mail_id])
    new = asked_for() - before

    def ended() -> bool:
        # Not when the queue is empty: the last job has left it and is not done.
        return {redis.hget(key, "status") for key in new} <= {b"finished", None}

    eventually(ended, "the queue is worked off")
    db.session.rollback()
    return True


def sent_and_restored(
    app: Flask, backup: Callable[[], Backup], send: Callable[..., OutgoingMail], hire: Callable[..., Worker]
) -> list[int]:
    """Let three mails wait, make a backup, let them leave, kill everybody, and put the backup back."""
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    copy = backup()
    worker = hire()
    eventually(all_sent(ids), "all have left")
    worker.kill()
    copy.restore()
    assert states_of(ids) == ["queued"] * 3
    return ids


@pytest.mark.both_databases
def test_nothing_leaves_twice_from_a_restored_database(app, backup, send, hire, lab, company):
    ids = sent_and_restored(app, backup, send, hire)
    hire()
    hire("scheduler")
    eventually(held, "they have noticed")
    new = send("new@example.com").id
    worked(app, [*ids, new])
    assert len(lab.accepted) == 3, "what has left leaves no second time, and what is new waits as well"
    hold = held()
    assert hold is not None
    assert hold.sign == "older"
    assert {mail.id for mail in restored.listed(hold)} == set(ids)

    decided = restored.decide([ids[1]], None)
    assert decided == restored.Decided(1, 2)
    eventually(lambda: states_of([ids[1], new]) == ["sent"] * 2, "what was chosen leaves, and what is new")
    assert states_of([ids[0], ids[2]]) == ["uncertain"] * 2
    counts = {recipient: count for (_id, recipient), count in acceptances(lab).items()}
    assert counts == {
        "n0@example.com": 1,
        "n1@example.com": 2,
        "n2@example.com": 1,
        "new@example.com": 1,
    }
    assert restored.decide(None, None) is None


@pytest.mark.both_databases
def test_the_file_alone_knows_it_where_redis_has_forgotten(app, redis, backup, send, hire, lab):
    ids = sent_and_restored(app, backup, send, hire)
    redis.forget()
    hire()
    eventually(held, "the worker has noticed")
    worked(app, ids)
    assert len(lab.accepted) == 3


@pytest.mark.both_databases
def test_redis_alone_knows_it_where_the_file_is_gone(app, settings, backup, send, hire, lab):
    ids = sent_and_restored(app, backup, send, hire)
    (settings.data_dir / "installation").unlink()
    hire()
    eventually(held, "the worker has noticed")
    worked(app, ids)
    assert len(lab.accepted) == 3


def test_a_database_that_comes_alone_to_another_host_is_asked_about(app, settings, redis, send, hire, lab):
    ids = [send("a@example.com").id]
    worker = hire()
    eventually(all_sent(ids), "it has left")
    worker.kill()
    (settings.data_dir / "installation").unlink()
    redis.forget()
    hold = installation.verify()
    assert hold is not None
    assert hold.sign == "unknown"


def test_a_new_host_that_comes_while_redis_is_away_waits_and_holds_nobody_back(
    app, settings, redis, send, hire, lab
):
    worker = hire()
    eventually(all_sent([send("a@example.com").id]), "it has left")
    worker.kill()
    (settings.data_dir / "installation").unlink()
    redis.kill()
    assert installation.verify() is None
    assert installation.must_wait()
    new = hire()
    eventually(lambda: "Waiting for it" in new.log, "the new one has said that it waits")
    redis.start()
    eventually(all_sent([send("b@example.com").id]), "it works")
    assert not held()


def test_a_database_put_back_under_a_worker_that_runs_is_noticed_by_its_next_claim(
    app, backup, send, hire, lab
):
    ids = [send("a@example.com").id]
    copy = backup()
    worker = hire()
    eventually(all_sent(ids), "it has left")
    copy.restore()
    jobs.enqueue("outbox.deliver_mails", ids)
    worked(app, ids)
    assert worker.alive(), "it goes on with the file that is there now"
    eventually(held, "and its claim has noticed")
    assert len(lab.accepted) == 1
    assert held() is not None


def test_a_web_process_notices_when_it_starts(app, backup, send, hire):
    sent_and_restored(app, backup, send, hire)
    hire("web", PORT=free_port())
    eventually(held, "it has noticed")


@pytest.mark.on_database("postgresql")
def test_a_dump_put_back_under_a_worker_that_runs_is_noticed_by_its_next_claim(app, backup, send, hire, lab):
    ids = [send("a@example.com").id]
    copy = backup()
    hire()
    eventually(all_sent(ids), "it has left")
    copy.restore()
    worked(app, ids)
    eventually(held, "the claim has noticed")
    assert len(lab.accepted) == 1


def test_what_was_called_back_after_the_backup_does_not_leave_by_it(app, backup, send, lab, server):
    mail = send("a@example.com")
    copy = backup()
    assert service.cancel([mail.id]) == [mail.id]
    copy.restore()
    assert installation.verify() is not None
    assert claims.claim([mail.id]) is None


# -- the whole data folder -----------------------------------------------------------------------------


@pytest.fixture
def moved(settings: Settings, tmp_path: Path) -> Callable[..., Iterator[Flask]]:
    """The application of another data folder, with a Redis that has nothing."""

    def application(folder: Path, url: str) -> Iterator[Flask]:
        changes = {"data_dir": folder, "database_url": f"sqlite:///{folder / 'envoi.db'}", "redis_url": url}
        return running_app(dataclasses.replace(settings, **changes, redis_embedded=True))

    return application


def sent_once(app: Flask, settings: Settings, send: Callable[..., OutgoingMail]) -> None:
    """Let one claim be made and remembered."""
    mail = send("a@example.com")
    assert claims.claim([mail.id])
    db.session.rollback()
    disconnect()


def copies(source: Path, target: Path) -> dict[str, Callable[[], object]]:
    return {
        "cp -a": lambda: copy_folder(source, target),
        "cp": lambda: shutil.copytree(source, target, copy_function=shutil.copyfile),
        "tar": lambda: tar_folder(source, target),
    }


@pytest.mark.parametrize("way", ["cp -a", "cp", "tar"])
def test_a_data_folder_that_was_copied_to_another_host_is_asked_about(
    app, settings, send, server, tmp_path, redis, moved, way
):
    sent_once(app, settings, send)
    assert installation.verify() is None
    disconnect()
    time.sleep(1)
    target = tmp_path / "elsewhere"
    copies(settings.data_dir, target)[way]()
    redis.forget()
    for _ in moved(target, redis.url):
        hold = installation.verify()
        assert hold is not None
        assert hold.sign == "copied"


def test_a_copy_that_is_started_beside_the_original_sends_nothing(
    app, settings, send, server, tmp_path, redis, moved, lab
):
    sent_once(app, settings, send)
    waits = send("b@example.com").id
    disconnect()
    time.sleep(1)
    copy_folder(settings.data_dir, tmp_path / "elsewhere")
    redis.forget()
    for _ in moved(tmp_path / "elsewhere", redis.url):
        assert deliver([waits]) == 0
        assert held() is not None
        assert restored.declare_copy()
        deliver([waits])
        assert states_of([waits]) == ["sent"]
        assert not lab.accepted
    with app.app_context():
        assert installation.verify() is None, "the original goes on"
        deliver([waits])
        assert [who for _message, who in acceptances(lab)] == ["b@example.com"]


@pytest.mark.parametrize("way", ["cp -a", "rsync", "tar"])
def test_a_data_folder_that_was_put_back_whole_is_asked_about(
    app, settings, send, server, tmp_path, redis, moved, way
):
    folder = settings.data_dir
    sent_once(app, settings, send)
    time.sleep(1)
    copy_folder(folder, tmp_path / "backup")
    sent_once(app, settings, send)
    time.sleep(1)
    if way == "cp -a":
        copy_folder(tmp_path / "backup", folder)
    elif way == "tar":
        tar_folder(tmp_path / "backup", folder)
    else:
        # As rsync does: only what differs, to a new name that then takes the place of the former.
        for name in ("envoi.db", "installation"):
            shutil.copy2(tmp_path / "backup" / name, folder / f".{name}.x")
            (folder / f".{name}.x").replace(folder / name)
    for extra in ("envoi.db-wal", "envoi.db-shm"):
        (folder / extra).unlink(missing_ok=True)
    redis.forget()
    for _ in moved(folder, redis.url):
        assert installation.verify() is not None


# -- what is no restore --------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_plain_restarts_kills_and_a_redis_that_forgets_are_no_restore(app, redis, send, hire, lab):
    for number in range(3):
        worker = hire()
        ids = [send(f"n{number}@example.com").id]
        eventually(all_sent(ids), "it has left")
        redis.forget()
        worker.kill() if number % 2 else worker.end()
    assert installation.verify() is None
    assert len(lab.accepted) == 3


def test_a_folder_that_was_moved_is_no_restore(app, settings, send, server, tmp_path, redis, moved):
    sent_once(app, settings, send)
    time.sleep(1)
    redis.forget()
    settings.data_dir.rename(tmp_path / "elsewhere")
    for _ in moved(tmp_path / "elsewhere", redis.url):
        assert installation.verify() is None
    (tmp_path / "elsewhere").rename(settings.data_dir)


def test_a_folder_that_was_copied_is_no_restore_where_a_redis_elsewhere_has_seen_the_last_claim(
    app, settings, send, server, tmp_path, redis
):
    sent_once(app, settings, send)
    time.sleep(1)
    target = tmp_path / "elsewhere"
    copy_folder(settings.data_dir, target)
    changes = {"data_dir": target, "database_url": f"sqlite:///{target / 'envoi.db'}"}
    for _ in running_app(dataclasses.replace(settings, **changes)):
        assert installation.verify() is None
        redis.forget()
        assert installation.verify() is None, "and the file is right from then on"


def test_a_crash_between_the_claim_and_what_is_remembered_is_no_restore(app, settings, send, server):
    sent_once(app, settings, send)
    with transaction() as session:
        installation.raise_generation(session, installation.remembered())
    assert installation.verify() is None
    file = marker.read(settings.data_dir / "installation")
    assert file is not None
    assert file.generation == 2


@pytest.mark.both_databases
def test_the_first_claims_of_several_at_once_are_no_restore(app, settings, send, server):
    ids = [send(f"n{number}@example.com").id for number in range(2)]
    nothing = installation.remembered()
    assert nothing == installation.Remembered(None, None)
    assert claims.claim(ids[:1])
    with transaction() as session:
        # Asked before the first had written down anything.
        assert installation.raise_generation(session, nothing)
    assert installation.verify() is None


def test_a_fresh_database_in_a_used_folder_is_no_restore(app, settings, send, server, tmp_path, moved):
    sent_once(app, settings, send)
    for name in ("envoi.db", "envoi.db-wal", "envoi.db-shm"):
        (settings.data_dir / name).unlink(missing_ok=True)
    for fresh in running_app(dataclasses.replace(settings)):
        migrate.upgrade(fresh)
        assert installation.verify() is None


def test_nothing_is_sent_where_nobody_can_remember_it(app, settings, send, server, lab, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(marker, "write", refuse)
    mail = send("a@example.com")
    assert claims.claim([mail.id]) is None
    assert states_of([mail.id]) == ["queued"]


def test_the_sweep_asks_for_nothing_while_all_is_held(app, send, server):
    mail = send("a@example.com")
    jobs.queue_for(app).empty()
    restored.hold_back()
    sweep()
    assert jobs.queue_length() == 0
    restored.decide(None, None)
    assert states_of([mail.id]) == ["queued"]


def test_a_process_that_has_read_before_others_claimed_sees_no_restore(app):
    installation.verify()
    name, generation = db.session.execute(select(Installation.name, Installation.generation)).one()
    # The reading above is still open when another process claims, and writes down that it did.
    with db.engine.begin() as other:
        other.execute(update(Installation).values(generation=generation + 1))
    installation.remember(name, generation + 1)
    assert installation.verify() is None


@pytest.mark.both_databases
def test_a_process_that_starts_while_another_makes_the_first_claim_of_all_sees_no_restore(
    app, settings, send, server, monkeypatch
):
    mail = send("a@example.com")
    looked: list[installation.Remembered] = []

    def remembered() -> installation.Remembered:
        looked.append(seen := look())
        if len(looked) == 1:
            # Another process starts too, finds nothing amiss, and claims before this one reads the database.
            assert installation.verify() is None
            assert claims.claim([mail.id])
        return seen

    look = installation.remembered
    monkeypatch.setattr(installation, "remembered", remembered)
    assert installation.verify() is None
    assert looked[0] == installation.Remembered(None, None)
