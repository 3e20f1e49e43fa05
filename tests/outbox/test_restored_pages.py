"""The page, the notices and the command about what waits after a restore, and about mails that do not leave."""

from __future__ import annotations

import datetime as dt

import pytest
from click.testing import CliRunner
from sqlalchemy import text, update

from core import cli, clock
from core.db import db, transaction
from core.errors import UserError
from core.installation import service as installation
from core.installation.models import Sign
from core.kept import forget
from modules.mail_config.servers.service import test_server
from modules.outbox import service
from modules.outbox.cli.restored import outbox_restored
from modules.outbox.delivery import claims
from modules.outbox.delivery.run import deliver
from modules.outbox.inbound.mailboxes import read_mailboxes
from modules.outbox.models import MAILS, OutgoingMail
from modules.outbox.restored import service as restored
from modules.outbox.standstill import _late
from modules.outbox.transitions import IllegalTransitionError, move


@pytest.fixture
def waiting(send, server):
    """Three mails that waited when the data were restored."""
    ids = [send(f"n{number}@example.com").id for number in range(3)]
    installation.hold_back(Sign.OLDER)
    return ids


@pytest.fixture
def admin(make_user, sign_in):
    return sign_in(make_user("administrator"))


def states(ids):
    db.session.rollback()
    return [db.session.get_one(OutgoingMail, mail_id).state.value for mail_id in ids]


def test_nothing_is_claimed_until_somebody_has_decided(waiting):
    assert claims.claim(waiting) is None
    assert states(waiting) == ["queued"] * 3
    assert restored.decide([waiting[0]], None) == restored.Decided(1, 2)
    assert claims.claim(waiting) is not None
    assert states(waiting) == ["sending", "uncertain", "uncertain"]


def test_the_page_shows_what_waited_and_lets_go_what_was_marked(admin, waiting, send):
    page = admin.get("/outbox/restored").text
    assert "a backup was put in its place" in page
    assert all(f"n{number}@example.com" in page for number in range(3))
    answer = admin.post("/outbox/restored", data={"choice": "marked", "mail_id": [waiting[2]]})
    assert answer.status_code == 302
    assert states(waiting) == ["uncertain", "uncertain", "queued"]
    page = admin.get("/outbox/restored").text
    assert "1 email leaves. 2 were set aside as uncertain." in page
    assert "nothing is held" in page
    story = admin.get(f"/outbox/mails/{waiting[0]}?tab=reason").text
    assert "Data restored from a backup" in story


@pytest.mark.parametrize(
    ("choice", "after"), [("all", ["queued"] * 3), ("none", ["uncertain"] * 3), ("marked", ["queued"] * 3)]
)
def test_all_and_none_are_choices_and_marking_nothing_is_none(admin, waiting, choice, after):
    admin.post("/outbox/restored", data={"choice": choice})
    assert states(waiting) == after
    assert (installation.hold() is None) == (choice != "marked")


def test_a_second_decision_changes_nothing(admin, waiting):
    admin.post("/outbox/restored", data={"choice": "all"})
    admin.post("/outbox/restored", data={"choice": "none"})
    assert states(waiting) == ["queued"] * 3


def test_an_administrator_holds_everything_by_hand(admin, send, server):
    admin.post("/outbox/restored/hold")
    hold = installation.hold()
    assert hold is not None
    assert hold.sign is Sign.TOLD


@pytest.mark.smtp
def test_a_copy_captures_what_would_leave(admin, make_user, sign_in, waiting, send, lab, server):
    seller = sign_in(make_user("salesperson"))
    assert "Emails are held" in seller.get("/sales/quotations").text
    admin.post("/outbox/restored/copy")
    deliver([*waiting, (new := send("new@example.com")).id])
    assert states([*waiting, new.id]) == ["sent"] * 4
    assert lab.accepted == []
    assert all(db.session.get_one(OutgoingMail, mail_id).captured for mail_id in [*waiting, new.id])
    page = admin.get(f"/outbox/mails/{new.id}").text
    assert "captured" in page
    assert "Captured: kept in this installation, sent to nobody." in page
    forget(restored.KEPT_TO_ITSELF)  # another process has found out by itself meanwhile
    for reader in (seller, admin):
        assert "This is a copy." in reader.get("/sales/quotations").text
    # Nobody else is spoken to either: no test, no probe, no mailbox.
    with pytest.raises(UserError, match="is a copy"):
        test_server(server, "me@example.com", "post@maison.example.com")
    assert read_mailboxes() == 0
    # What is a copy may take the place of the real one; then what waits is asked about first.
    late = send("late@example.com")
    admin.post("/outbox/restored/hold")
    assert installation.hold() is not None
    admin.post("/outbox/restored", data={"choice": "marked", "mail_id": [late.id]})
    deliver([late.id])
    assert states([late.id]) == ["sent"]
    assert len(lab.accepted) == 1
    assert not db.session.get_one(OutgoingMail, late.id).captured


def test_only_administrators_decide(make_user, sign_in, waiting):
    support = sign_in(make_user("support"))
    assert support.get("/outbox/restored").status_code == 403
    assert support.post("/outbox/restored", data={"choice": "all"}).status_code == 403
    assert support.post("/outbox/restored/copy").status_code == 403
    assert installation.hold() is not None


def test_the_bell_and_the_list_say_that_mails_are_held(admin, make_user, sign_in, waiting):
    page = admin.get("/outbox/mails").text
    assert page.count("Emails are held") >= 2
    assert 'href="/outbox/restored"' in page
    seller = sign_in(make_user("salesperson", language="fr")).get("/outbox/mails").text
    assert "Les e‑mails sont retenus" in seller
    assert "/outbox/restored" not in seller


def test_what_is_submitted_after_the_restore_is_not_asked_about(waiting, send):
    new = send("new@example.com")
    hold = installation.hold()
    assert hold is not None
    assert {mail.id for mail in restored.listed(hold)} == set(waiting)
    restored.decide([], None)
    assert states([*waiting, new.id]) == ["uncertain"] * 3 + ["queued"]


def test_who_has_got_it_keeps_it_and_the_rest_is_uncertain(send, server):
    mail = send("a@example.com", "b@example.com")
    with transaction() as session:
        session.execute(
            text("UPDATE outbox_recipient SET state = 'accepted' WHERE addr_spec = 'a@example.com'")
        )
        session.execute(update(MAILS).values(accepted_count=1))
    installation.hold_back(Sign.OLDER)
    restored.decide([], None)
    db.session.expire_all()
    found = {r.addr_spec: r.state.value for r in db.session.get_one(OutgoingMail, mail.id).recipients}
    assert found == {"a@example.com": "accepted", "b@example.com": "uncertain"}
    assert service.resend([mail.id]) == [mail.id]
    found = {r.addr_spec: r.state.value for r in db.session.get_one(OutgoingMail, mail.id).recipients}
    assert found == {"a@example.com": "accepted", "b@example.com": "pending"}


def test_a_settled_mail_cannot_be_doubted(send, server):
    mail = send("a@example.com")
    service.cancel([mail.id])
    with pytest.raises(IllegalTransitionError), transaction():
        move(db.session.get_one(OutgoingMail, mail.id), "doubt", type(mail.state)("uncertain"))


def test_the_command_lists_decides_and_holds(app, waiting, monkeypatch):
    monkeypatch.setattr(cli, "_application", [app])

    def run(*arguments: str) -> str:
        db.session.rollback()
        return CliRunner().invoke(outbox_restored, list(arguments), catch_exceptions=True).output

    assert "Waiting then: 3." in run()
    assert run("--send", str(waiting[1])) == "1 leave, 2 were set aside as uncertain.\n"
    assert run() == "Nothing is held: emails leave.\n"
    assert "somebody has said so" in run("--hold")
    assert run("--copy").startswith("This installation is a copy")
    assert "what would leave is captured" in run()
    run("--hold")
    assert run("--send-all").startswith("1 leave")


def test_a_late_mail_is_counted_and_tells_since_when(app, send, server):
    send("a@example.com")
    with transaction() as session:
        session.execute(update(MAILS).values(next_attempt_at=clock.now() - dt.timedelta(minutes=1)))
    count, oldest = _late()  # what the bell asks on each page
    assert count == 1
    assert oldest is not None


def test_no_emails_are_announced_where_none_was_waiting(admin):
    admin.post("/outbox/restored/hold")
    page = admin.get("/outbox/restored").text
    assert "No email was waiting" in page
    assert "The emails below" not in page
    assert "become “uncertain”" not in page
    answer = admin.post("/outbox/restored", data={"choice": "none"}, follow_redirects=True).text
    assert "Emails leave again." in answer
    assert "0 emails" not in answer
