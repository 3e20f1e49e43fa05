"""Kinds of mail servers: each keeps the interface, and a module by others brings one."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from core import loader, migrate
from core.config import Settings
from core.db import transaction
from core.embedded import free_port
from core.errors import ModuleError
from core.mail.outcomes import FailureKind, RecipientState
from core.registry import current_registry
from core.testing.fixtures import running_app
from core.testing.services import SmtpLab
from modules.mail_config.models import SMTP, MailServer
from modules.mail_config.servers import circuit_breaker, service
from modules.mail_config.servers.access import UnusableServerError, open_transport
from modules.mail_config.transports.conformance import ENVELOPE, MESSAGE, TransportConformance
from tests.mail_config import sendmail
from tests.outbox.conftest import make_ready, make_server

pytestmark = [pytest.mark.smtp]


class Nobody:
    host, port = "127.0.0.1", 0

    def __init__(self) -> None:
        self.port = free_port()


@pytest.mark.usefixtures("company")
class TestSmtp(TransportConformance):
    @pytest.fixture
    def lab(self):
        with SmtpLab() as lab:
            yield lab

    @pytest.fixture
    def working(self, lab):
        return open_transport(make_server(lab), timeout=5.0)

    @pytest.fixture
    def received(self, lab):
        return lambda: len(lab.accepted)

    @pytest.fixture
    def unreachable(self):
        return open_transport(make_server(Nobody()), timeout=5.0)


@pytest.fixture
def program(tmp_path):
    """What stands for the program: it keeps each mail, and fails as it is told to."""
    script = tmp_path / "sendmail"
    script.write_text(
        f'#!/bin/sh\ncat > "{tmp_path}/taken" || exit 1\n'
        f'test -s "{tmp_path}/taken" && cat "{tmp_path}/taken" >> "{tmp_path}/mails"\n'
        f'test -e "{tmp_path}/fails" && echo busy >&2 && exit 75\nexit 0\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.mark.usefixtures("company")
class TestThirdParty(TransportConformance):
    """The example of docs/writing-a-module.md, in an application of its own."""

    @pytest.fixture
    def app(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
        discover = loader.discover
        monkeypatch.setattr(loader, "discover", lambda: {**discover(), "sendmail": sendmail.module})
        for app in running_app(settings):
            migrate.upgrade(app)
            yield app

    @pytest.fixture
    def server(self, app, program) -> MailServer:
        app.config["SENDMAIL_PROGRAM"] = str(program)
        return make_server(Nobody(), transport="sendmail.program")

    @pytest.fixture
    def working(self, server):
        return open_transport(server, timeout=5.0)

    @pytest.fixture
    def received(self, tmp_path):
        mails = tmp_path / "mails"
        return lambda: mails.read_bytes().count(b"Message-ID:") if mails.exists() else 0

    @pytest.fixture
    def unreachable(self, app, server):
        app.config["SENDMAIL_PROGRAM"] = "/nowhere/sendmail"
        return open_transport(server, timeout=5.0)

    def test_its_kind_is_offered_and_its_answers_count(self, working, tmp_path):
        assert current_registry().transports["sendmail.program"].title == "Sendmail"
        (tmp_path / "fails").touch()
        submission = working.submit(MESSAGE, ENVELOPE, lambda: None)
        assert [outcome.state for outcome in submission.outcomes] == [RecipientState.DEFERRED] * 2
        assert submission.outcomes[0].failure.diagnostic.strip() == "busy"

    def test_a_server_of_it_is_tested_by_its_own_steps(self, server, company):
        report = service.test_server(server, "me@example.com", company.email)
        assert report.passed
        assert [step.step for step in report.steps] == ["data"]
        assert server.ready


def test_a_server_whose_module_is_gone_says_so_and_loses_nothing(company):
    server = make_ready(make_server(Nobody()))
    with transaction():
        server.transport = "gone.kind"
        server.tested_fingerprint = server.fingerprint
    with pytest.raises(UnusableServerError, match="not installed any more") as caught:
        open_transport(server)
    assert caught.value.failure.kind is FailureKind.SERVER_MISSING
    failure = circuit_breaker.probe_now(server.id)
    assert failure is not None
    assert failure.kind is FailureKind.SERVER_MISSING


def test_the_kind_is_part_of_what_a_test_proves(company):
    server = make_ready(make_server(Nobody()))
    assert server.transport == SMTP
    server.transport = "sendmail.program"
    assert not server.ready


def test_two_modules_never_bring_the_same_kind():
    spec = replace(sendmail.module.transports[0], name="mail_config.smtp")
    twice = replace(sendmail.module, transports=(spec,))
    with pytest.raises(ModuleError) as caught:
        loader.build_registry([*loader.select(loader.discover(), ("mail_config",)), twice])
    assert any("mail_config.smtp" in problem for problem in caught.value.problems)
