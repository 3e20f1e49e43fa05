"""Senders as they are kept: saving, allowing, and the route that the database gives."""

from __future__ import annotations

import pytest

from core.companies.service import save_company
from core.db import db, transaction
from core.errors import UserError
from core.mail.draft import Purpose
from core.signals import mail_routes_changed
from core.testing.services import SmtpLab
from modules.mail_config.models import CompanySender, UserSender
from modules.mail_config.senders.service import (
    allow_address,
    own_sender,
    route_for,
    save_company_sender,
    save_own_sender,
)
from tests.outbox.conftest import make_ready, make_server

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


@pytest.fixture
def lab():
    with SmtpLab(security="none") as lab:
        yield lab


@pytest.fixture
def changes(app):
    heard: list[object] = []

    def note(sender):
        heard.append(sender)

    with mail_routes_changed.connected_to(note):
        yield heard


def test_an_own_sender_is_kept_changed_and_given_up(company, make_user, changes):
    user = make_user()
    save_own_sender(user, address=f" {user.login} ", name="So\nphie", own_server=False)
    row = own_sender(user)
    assert (row.address, row.name, row.allowed) == (user.login, "So phie", True)
    save_own_sender(user, address="me@elsewhere.example.com", name="", own_server=True)
    assert (row.own_server, row.allowed) == (True, False)
    with pytest.raises(UserError) as caught:
        save_own_sender(user, address="", name="", own_server=True)
    assert caught.value.field == "address"
    save_own_sender(user, address="", name="", own_server=False)
    assert own_sender(user) is None
    assert len(changes) == 3, "mails that wait look again"
    with pytest.raises(UserError) as caught:
        save_own_sender(user, address="nobody", name="", own_server=False)
    assert caught.value.field == "address"


def test_an_address_is_allowed_as_it_was_looked_at(company, make_user):
    user = make_user()
    save_own_sender(user, address="me@elsewhere.example.com", name="", own_server=False)
    with pytest.raises(UserError):
        allow_address(user.id, "boss@elsewhere.example.com")
    allow_address(user.id, "me@elsewhere.example.com")
    assert own_sender(user).allowed
    save_own_sender(user, address="boss@elsewhere.example.com", name="", own_server=False)
    assert not own_sender(user).allowed, "another address is not the one that was allowed"


def test_a_companys_sender_is_set_for_each_purpose(lab, company, make_user):
    server = make_ready(make_server(lab))
    save_company_sender(
        company,
        Purpose.BATCH,
        address="news@maison.example.com",
        name="News",
        reply_to="office@maison.example.com",
        server_id=server.id,
    )
    user = make_user()
    batch = route_for(company, user, purpose=Purpose.BATCH)
    assert str(batch.header_from) == "News <news@maison.example.com>"
    assert str(batch.reply_to) == "office@maison.example.com"
    assert route_for(company, user).header_from.addr_spec == company.email
    with transaction() as session:
        session.delete(server)
    assert db.session.get(CompanySender, (company.id, Purpose.BATCH)).server_id is None
    save_company_sender(company, Purpose.BATCH, address="", name="", reply_to="", server_id=None)
    assert db.session.get(CompanySender, (company.id, Purpose.BATCH)) is None


def test_no_company_is_given_the_server_of_another_or_of_a_user(lab, company, make_user):
    other = save_company(None, {"name": "Harbour", "email": "post@harbour.example.com"})
    user = make_user()
    mine = make_server(lab, name="mine", owner_id=user.id)
    theirs = make_server(lab, name="theirs", company_id=other.id)
    for server_id in (mine.id, theirs.id, 4711):
        with pytest.raises(UserError) as caught:
            save_company_sender(
                company, Purpose.SINGLE, address="", name="", reply_to="", server_id=server_id
            )
        assert caught.value.field == "server_id"


def test_an_own_server_sends_for_nobody_else(lab, company, make_user):
    sophie, oliver = make_user(), make_user(login="oliver@example.com")
    make_ready(make_server(lab, name="sophie's", owner_id=sophie.id, priority=1))
    for user in (sophie, oliver):
        save_own_sender(user, address=user.login, name="", own_server=True)
    assert route_for(company, sophie).server_name == "sophie's"
    assert route_for(company, sophie, purpose=Purpose.RECEIPT).server_name == ""
    assert route_for(company, oliver).server_name == ""
    assert route_for(company, None).server_name == ""
    with transaction():
        sophie.active = False
    assert route_for(company, sophie).server_name == ""


def test_sender_and_server_go_with_their_user(lab, company, make_user):
    user = make_user()
    make_server(lab, owner_id=user.id)
    save_own_sender(user, address=user.login, name="", own_server=True)
    with transaction() as session:
        session.delete(user)
    assert db.session.query(UserSender).count() == 0
    assert route_for(company, None).server_name == ""
