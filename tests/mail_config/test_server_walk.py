"""The test of a server, step by step; each wrong host, port, encryption and credential has its own sentence."""

from __future__ import annotations

import hashlib
import socket

import pytest

from core.errors import UserError
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption
from modules.mail_config.servers import service
from modules.mail_config.servers.test_advice import sentences
from modules.mail_config.transports.base import Step
from tests.outbox.conftest import make_server

pytestmark = [pytest.mark.smtp]

ME = "me@example.com"
ALL = [Step.RESOLVE, Step.CONNECT, Step.TLS, Step.SIGN_IN, Step.MAIL, Step.RCPT, Step.DATA]


def walked(server, company, to):
    report = service.test_server(server, to, company.email)
    said = " ".join(sentences(report.failure, server, report.certificate)) if report.failure else ""
    return report, said


def shown(report) -> list[tuple[Step, bool | None]]:
    return [(step.step, step.passed if step.seconds is not None else None) for step in report.steps]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_each_step_is_told_with_its_time_and_what_it_has_found(company, security):
    with SmtpLab(security=security, credentials=("user", "right")) as lab:
        server = make_server(
            lab,
            host="localhost",
            encryption=Encryption(security),
            username="user",
            password="right",
            ca_certificate=lab.ca_file.read_text(),
        )
        report, _said = walked(server, company, ME)
    assert report.passed, "the authority of this one server is trusted"
    assert shown(report) == [(step, True) for step in ALL]
    found = {step.step: step.detail for step in report.steps}
    assert "127.0.0.1" in found[Step.RESOLVE]
    assert "localhost, 127.0.0.1 · 20" in found[Step.TLS]
    assert all(step.seconds < 10 for step in report.steps)


def test_the_step_that_failed_is_the_last_that_was_reached(company):
    with SmtpLab(credentials=("user", "right")) as lab:
        server = make_server(lab, username="user", password="wrong")
        report, _said = walked(server, company, ME)
        assert shown(report) == [
            (Step.RESOLVE, True),
            (Step.CONNECT, True),
            (Step.SIGN_IN, False),
            (Step.MAIL, None),
            (Step.RCPT, None),
            (Step.DATA, None),
        ]
    with SmtpLab() as lab:
        report, _said = walked(make_server(lab), company, "refused+me@example.com")
        assert shown(report)[-2:] == [(Step.RCPT, False), (Step.DATA, None)]


@pytest.fixture
def silent():
    """A port that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


SELF = "The certificate vouches for itself"


@pytest.mark.parametrize(
    ("security", "lab_changes", "changes", "words"),
    [
        ("tls", {}, {}, SELF),
        ("starttls", {}, {"encryption": Encryption.STARTTLS}, SELF),
        ("tls", {"expired": True}, {"trust": True}, "It was valid until"),
        ("tls", {}, {"trust": True, "host": "127.1"}, "The certificate is for localhost, 127.0.0.1."),
        ("tls", {}, {"encryption": Encryption.STARTTLS}, "the port may expect “TLS from the first byte”"),
        ("none", {}, {"encryption": Encryption.TLS}, "kind of encryption is wrong"),
        ("none", {}, {"encryption": Encryption.STARTTLS}, "does not offer STARTTLS"),
        ("none", {}, {"encryption": Encryption.NONE, "host": "nowhere.invalid"}, "has the host name"),
        ("none", {"credentials": ("user", "right")}, {"encryption": Encryption.NONE}, "No user name is set"),
    ],
    ids=["self-signed", "self-signed-starttls", "expired", "name", "starttls-at-tls", "tls-at-plain", "no-starttls",
         "no-host", "no-user"],
)  # fmt: skip
def test_each_fault_has_its_own_sentence(company, monkeypatch, security, lab_changes, changes, words):
    monkeypatch.setattr(service, "TEST_TIMEOUT_SECONDS", 1.5)
    with SmtpLab(security=security, **lab_changes) as lab:
        values = {"host": "localhost", "encryption": Encryption.TLS, **changes}
        if values.pop("trust", False):
            values["ca_certificate"] = lab.ca_file.read_text()
        report, said = walked(make_server(lab, **values), company, ME)
    assert not report.passed
    assert words.casefold() in said.casefold(), said


@pytest.mark.parametrize(
    ("port", "encryption", "words"),
    [
        (465, Encryption.STARTTLS, "Port 465 is for “TLS from the first byte”"),
        (587, Encryption.TLS, "Port 587 begins in the clear"),
        (993, Encryption.TLS, "Port 993 is for reading email"),
    ],
)
def test_a_port_that_does_not_go_with_the_encryption_is_told(
    company, silent, monkeypatch, port, encryption, words
):
    monkeypatch.setattr(service, "TEST_TIMEOUT_SECONDS", 0.5)
    here = type("Here", (), {"host": "127.0.0.1", "port": silent})
    server = make_server(here, encryption=encryption)
    report = service.test_server(server, "me@example.com", company.email)
    server.port = port  # nobody may listen at the real one here
    assert words in " ".join(sentences(report.failure, server))


def test_a_server_that_hangs_ends_in_time_and_says_so(company, silent, monkeypatch):
    monkeypatch.setattr(service, "TEST_TIMEOUT_SECONDS", 0.5)
    here = type("Here", (), {"host": "127.0.0.1", "port": silent})
    report, said = walked(make_server(here), company, ME)
    assert "did not answer in time" in said
    assert shown(report)[1] == (Step.CONNECT, False)


def test_a_provider_says_what_helps_there(company, app):
    with SmtpLab(credentials=("user", "right")) as lab:
        server = make_server(lab, username="user", password="wrong")
        report = service.test_server(server, "me@example.com", company.email)
    server.host = "smtp.gmail.com"
    assert "make an app password" in sentences(report.failure, server)[-1]


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"host": "smtp.example.com:587"}, "host", "Type the port in its own field: host smtp.example.com, port 587."),
        ({"host": "smtps://smtp.example.com"}, "host", "without “smtps://”"),
        ({"host": "sales@example.com"}, "host", "This is an email address."),
        ({"host": "smtp example.com"}, "host", "not the name of a host"),
        ({"host": ""}, "host", "not the name of a host"),
        ({"username": "user"}, "password", "This user name needs its password"),
        ({"password": "x"}, "username", "A password needs a user name"),
        ({"relay": True, "own_address": ""}, "own_address", "A relay needs the address"),
        ({"own_address": "nobody"}, "own_address", "not a valid email address"),
        ({"ca_certificate": "nonsense"}, "ca_certificate", "no certificate in PEM"),
        (
            {"ca_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
            "ca_certificate",
            "no certificate in PEM",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_beside_its_field(company, values, field, words):
    here = type("Here", (), {"host": "smtp.example.com", "port": 587})
    with pytest.raises(UserError) as caught:
        make_server(here, **values)
    assert caught.value.field == field
    assert words in str(caught.value.message)


def test_tests_of_servers_from_before_stay_passed(company):
    """The columns that came later change the mark of a test only where they are set."""
    here = type("Here", (), {"host": "smtp.example.com", "port": 587})
    server = make_server(here)
    proved = (
        server.host,
        server.port,
        str(server.encryption),
        server.username,
        server.secret,
        server.from_filter,
    )
    before = hashlib.sha256(repr(proved).encode()).hexdigest()
    assert server.fingerprint == before
    server.own_address = "post@example.com"
    assert server.fingerprint != before
    server.own_address = ""
    assert server.fingerprint == before
