"""Mail servers: saving, choosing, testing."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from core.db import db, transaction
from core.embedded import free_port
from core.errors import UserError
from core.mail.outcomes import FailureKind
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers import service
from tests.outbox.conftest import make_ready, make_server

pytestmark = [pytest.mark.smtp]


@pytest.fixture
def lab():
    with SmtpLab(security="none") as lab:
        yield lab


def test_a_passing_test_makes_the_server_ready_and_a_change_asks_for_another(lab, company):
    server = make_server(lab)
    assert not server.ready
    report = service.test_server(server, "me@example.com", company.email)
    assert report.passed
    assert server.ready
    assert len(lab.accepted) == 1
    service.save_server(server, {"host": server.host, "from_filter": "maison.example.com"}, None)
    assert not server.ready


def test_a_change_of_name_or_priority_asks_for_no_test(lab, company):
    server = make_ready(make_server(lab))
    service.save_server(server, {"host": server.host, "name": "Other", "priority": 3}, None)
    assert server.ready


def test_a_server_that_cannot_be_used_loses_its_readiness(app, company):
    server = make_ready(make_server(type("Nobody", (), {"host": "127.0.0.1", "port": free_port()})))
    report = service.test_server(server, "me@example.com", company.email)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.CONNECT_FAILED
    assert not server.ready


def test_a_mistyped_recipient_of_a_test_does_not_stop_the_server(lab, company):
    server = make_ready(make_server(lab))
    report = service.test_server(server, "refused+me@example.com", company.email)
    assert not report.passed
    assert report.failure is not None
    assert report.failure.kind is FailureKind.RECIPIENT_UNKNOWN
    assert server.ready


@pytest.mark.parametrize(
    ("password", "kind"), [("right", None), ("wrong", FailureKind.AUTH_FAILED)], ids=["right", "wrong"]
)
def test_the_password_is_proven_and_never_told(app, company, password, kind):
    with SmtpLab(security="starttls", credentials=("user", "right")) as lab:
        app.config["MAIL_CONFIG_CA_FILE"] = str(lab.ca_file)
        server = make_server(
            lab, encryption=Encryption.STARTTLS, host="localhost", username="user", password=password
        )
        report = service.test_server(server, "me@example.com", company.email)
    assert (report.failure.kind if report.failure else None) == kind
    assert password not in "\n".join(report.transcript)
    stored = db.session.execute(text("SELECT secret FROM mail_config_server")).scalar_one()
    assert password.encode() not in bytes(stored)


def test_an_expired_certificate_is_told_in_words(app, company):
    with SmtpLab(security="tls", expired=True) as lab:
        app.config["MAIL_CONFIG_CA_FILE"] = str(lab.ca_file)
        server = make_server(lab, encryption=Encryption.TLS, host="localhost")
        report = service.test_server(server, "me@example.com", company.email)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.TLS_FAILED
    assert "expired" in report.failure.diagnostic


def test_a_new_host_never_gets_the_password_of_the_old_one(lab, company):
    server = make_server(lab, username="user", password="secret")
    with pytest.raises(UserError) as caught:
        service.save_server(server, {"host": "evil.example.com"}, None)
    assert caught.value.field == "password"
    db.session.expire_all()
    assert db.session.scalars(select(MailServer)).one().host == lab.host


@pytest.mark.parametrize(
    ("entries", "address", "accepted"),
    [
        ("", "a@example.com", True),
        ("example.com", "a@example.com", True),
        ("@Example.com", "A@EXAMPLE.COM", True),
        ("example.com", "a@sub.example.com", False),
        ("a@example.com, b@example.com", "b@example.com", True),
        ("a@example.com", "c@example.com", False),
    ],
)
def test_the_from_filter(lab, company, entries, address, accepted):
    assert make_server(lab, from_filter=entries).accepts(address) is accepted


@pytest.mark.parametrize("entries", ["not a domain", "a@b@c", "exa mple.com"])
def test_a_malformed_from_filter_is_refused_beside_its_field(lab, company, entries):
    with pytest.raises(UserError) as caught:
        make_server(lab, from_filter=entries)
    assert caught.value.field == "from_filter"


def test_the_route_prefers_the_companys_own_then_priority_and_passes_over_the_untested(
    lab, company, make_user
):
    seller = make_user()
    make_ready(make_server(lab, name="general", priority=1))
    own = make_ready(make_server(lab, name="own", priority=50, company_id=company.id))
    assert route_for(company, seller).server_name == "own"
    with transaction():
        own.tested_fingerprint = ""
    route = route_for(company, seller)
    assert route.server_name == "general"
    assert route.reply_to is not None
    assert route.reply_to.addr_spec == seller.login
    assert route.header_from.addr_spec == company.email
    assert route.problem is None


def test_a_company_without_address_is_told_so(lab, company, make_user):
    make_ready(make_server(lab))
    seller = make_user()
    with transaction():
        company.email = ""
    assert route_for(company, seller).problem is FailureKind.SENDER_MISSING


def test_without_a_server_the_route_says_so(company, make_user):
    assert route_for(company, make_user()).problem is FailureKind.SERVER_MISSING
