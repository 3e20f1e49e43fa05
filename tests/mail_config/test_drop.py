"""Mails that are dropped into a folder: whole or not at all, never over another; a folder that is away or full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from core.errors import UserError
from core.mail.outcomes import Advice, FailureKind, RecipientState
from modules.mail_config import module
from modules.mail_config.servers import service
from modules.mail_config.servers.access import UnusableServerError, offered_transports, open_transport
from modules.mail_config.servers.settings import problems_of_settings
from modules.mail_config.servers.test_advice import sentences
from modules.mail_config.transports import drop
from modules.mail_config.transports.base import Envelope, Step
from modules.mail_config.transports.conformance import ENVELOPE, MESSAGE, TransportConformance
from modules.mail_config.transports.drop import FileDrop


def mails(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.eml"))


class TestDrop(TransportConformance):
    @pytest.fixture
    def working(self, tmp_path):
        return FileDrop(tmp_path)

    @pytest.fixture
    def received(self, tmp_path):
        return lambda: len(mails(tmp_path))

    @pytest.fixture
    def unreachable(self, tmp_path):
        return FileDrop(tmp_path / "away")


def put(folder, before_body=lambda: None, envelope=ENVELOPE):
    return FileDrop(folder).submit(MESSAGE, envelope, before_body)


def test_the_file_is_whole_and_names_the_envelope(tmp_path):
    seen = []
    submission = put(tmp_path, lambda: seen.append(mails(tmp_path)))
    assert seen == [[]], "nothing with its last name before the text is in it"
    (path,) = mails(tmp_path)
    assert path.read_bytes() == (
        b"X-Sender: post@maison.example.com\r\nX-Receiver: you@example.com\r\nX-Receiver: two@example.com\r\n"
        + MESSAGE
    )
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"
    assert submission.outcomes[0].reply.text == path.name


def failing(monkeypatch, name, code):
    def fail(*_args, **_how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(drop.os, name, fail)


@pytest.mark.parametrize(
    ("call", "code", "advice"),
    [
        ("open", errno.ENOENT, Advice.FOLDER_MISSING),
        ("open", errno.EACCES, Advice.FOLDER_FORBIDDEN),
        ("open", errno.EROFS, Advice.FOLDER_FORBIDDEN),
        ("open", errno.ENOSPC, Advice.FOLDER_FULL),
        ("fsync", errno.ENOSPC, Advice.FOLDER_FULL),
        ("fsync", errno.EDQUOT, Advice.FOLDER_FULL),
        ("fsync", errno.EIO, None),
        ("link", errno.EEXIST, None),
    ],
)
def test_a_folder_that_fails_is_a_failure_of_the_server(tmp_path, monkeypatch, call, code, advice):
    failing(monkeypatch, call, code)
    submission = put(tmp_path)
    assert submission.outcomes == ()
    assert submission.server_failed
    assert submission.failure.temporary
    assert submission.failure.advice is advice
    assert os.strerror(code) in submission.failure.diagnostic
    assert list(tmp_path.iterdir()) == []
    assert sentences(submission.failure)


def test_no_file_is_overwritten(tmp_path, monkeypatch):
    put(tmp_path)
    (path,) = mails(tmp_path)
    before = path.read_bytes()
    names = iter(["f" * 16, path.stem.partition("-")[2]])
    monkeypatch.setattr(drop.secrets, "token_hex", lambda _count: next(names))
    monkeypatch.setattr(drop, "_named", lambda token: f"{path.stem.partition('-')[0]}-{token}.eml")
    for links in (True, False):
        if not links:
            names = iter(["e" * 16, path.stem.partition("-")[2]])
            failing(monkeypatch, "link", errno.EPERM)
        assert put(tmp_path, envelope=Envelope("x@example.com", ("y@example.com",))).failure is not None
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_is_enough(tmp_path, monkeypatch):
    failing(monkeypatch, "link", errno.EPERM)
    assert put(tmp_path).failure is None
    assert len(mails(tmp_path)) == 1


def test_a_name_that_may_not_outlive_a_power_cut_is_uncertain(tmp_path, monkeypatch):
    fsync, times = os.fsync, []

    def second_fails(descriptor):
        times.append(descriptor)
        if len(times) > 1:
            raise OSError(errno.EIO, "broken")
        fsync(descriptor)

    monkeypatch.setattr(drop.os, "fsync", second_fails)
    submission = put(tmp_path)
    assert {outcome.state for outcome in submission.outcomes} == {RecipientState.UNCERTAIN}


def test_an_address_cannot_add_a_line(tmp_path):
    submission = put(
        tmp_path, envelope=Envelope("a@b.example", ("c@d.example\r\nX-Receiver: all@d.example",))
    )
    assert submission.outcomes == ()
    assert mails(tmp_path) == []


def test_only_the_installation_names_the_folder(app, company, tmp_path):
    assert "mail_config.drop" not in offered_transports()
    app.config["MAIL_CONFIG_DROP_FOLDER"] = str(tmp_path)
    assert "mail_config.drop" in offered_transports()
    server = service.save_server(
        None, {"name": "Folder", "transport": "mail_config.drop", "host": "/etc"}, None
    )
    assert (server.host, server.port) == ("", 0)
    report = service.test_server(server, "me@example.com", company.email)
    assert report.passed
    assert [step.step for step in report.steps] == [Step.FOLDER, Step.DATA]
    assert len(mails(tmp_path)) == 1
    app.config["MAIL_CONFIG_DROP_FOLDER"] = ""
    with pytest.raises(UnusableServerError, match="name no folder") as caught:
        open_transport(server)
    assert caught.value.failure.kind is FailureKind.SERVER_MISSING
    with pytest.raises(UserError):
        service.test_server(server, "me@example.com", company.email)


@pytest.mark.parametrize(
    ("folder", "good"), [("", True), ("/srv/mails", True), ("mails", False), ("../mails", False)]
)
def test_the_folder_is_an_absolute_path(folder, good):
    settings = {
        **module.config_defaults,
        "MAIL_CONFIG_SENDGRID_BASE_URL": "https://a.example",
        "MAIL_CONFIG_POSTMARK_BASE_URL": "https://b.example",
        "MAIL_CONFIG_DROP_FOLDER": folder,
    }
    assert bool(problems_of_settings(settings)) is not good
