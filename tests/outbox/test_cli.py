"""`envoi outbox …`: looking, acting, and what a terminal must not get to see."""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from core import cli, clock
from core.db import db
from core.errors import EnvoiError
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox import service
from modules.outbox.cli import selection
from modules.outbox.cli.selection import read_time
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, make_server, with_file
from tests.outbox.mails import HARMFUL, HOSTILE, accepted, become, recipient_becomes, refused, uncertain

Run = Callable[..., Result]
Send = Callable[..., OutgoingMail]


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `envoi outbox …` in this process, on the database of the test."""
    monkeypatch.setattr(cli, "_application", [app])

    def invoke(*args: object, fails: bool = False) -> Result:
        result = CliRunner().invoke(cli.cli, ["outbox", *(str(arg) for arg in args)], catch_exceptions=True)
        db.session.rollback()
        db.session.expire_all()
        if fails:
            assert result.exit_code != 0, result.output
        else:
            assert result.exit_code == 0, (result.output, result.exception)
        return result

    return invoke


def rows(result: Result) -> list[dict[str, object]]:
    return json.loads(result.stdout)


def ids(result: Result) -> list[object]:
    return [row["id"] for row in rows(result)]


# -- looking ---------------------------------------------------------------------------------------------


def test_the_list_is_narrowed_by_every_option(run, send, lab, company):
    server = make_server(lab)
    first = refused(send("one@example.com", subject="Lamp"), server_id=server.id)
    second = uncertain(send("two@example.com", subject="Desk"))
    third = send("three@example.com", subject="Chair")
    assert ids(run("list", "--json")) == [third.id, second.id, first.id]
    assert ids(run("list", "--json", "--failed")) == [second.id, first.id]
    assert ids(run("list", "--json", "--waiting")) == [third.id]
    assert ids(run("list", "--json", "--state", "failed")) == [first.id]
    assert ids(run("list", "--json", "--state", "failed", "--state", "queued")) == [third.id, first.id]
    assert ids(run("list", "--json", "--kind", "outcome_unknown")) == [second.id]
    assert ids(run("list", "--json", "--server", "Lab")) == [first.id]
    assert ids(run("list", "--json", "--company", company.name, "--limit", "1")) == [third.id]
    assert ids(run("list", "--json", "--search", "desk")) == [second.id]
    assert ids(run("list", "--json", "--search", "three@example.com")) == [third.id]
    assert ids(run("list", "--json", "--since", "1h")) == [third.id, second.id, first.id]
    assert ids(run("list", "--json", "--since", "2099-01-01")) == []
    assert "Nothing." in run("list", "--search", "nowhere to be found").output


@pytest.mark.parametrize("state", [state.value for state in MailState])
def test_every_state_can_be_asked_for(run, mail_in, state):
    assert ids(run("list", "--json", "--state", state)) == [mail_in(state).id]


@pytest.fixture
def mail_in(send: Send) -> Callable[[str], OutgoingMail]:
    made: dict[str, OutgoingMail] = {}
    for number, state in enumerate(MailState):
        made[state.value] = become(send(f"a{number}@example.com"), state=state)
    return lambda state: made[state]


@pytest.mark.parametrize(
    "options",
    [
        ("--server", "None such"),
        ("--company", "None such"),
        ("--since", "yesterday"),
        ("--kind", "nonsense"),
        ("--state", "gone"),
    ],
)
def test_what_there_is_not_is_told(run, send, options):
    send("one@example.com")
    result = run("list", *options, fails=True)
    assert str(result.exception) or result.output


def test_times_are_moments_days_or_how_long_ago():
    assert read_time("2026-03-01").isoformat() == "2026-03-01T00:00:00+00:00"
    assert read_time("2026-03-01T12:30").hour == 12
    assert read_time("2026-03-01T12:30+02:00").utcoffset() is not None
    assert abs((clock.now() - read_time("90m")).total_seconds() - 5400) < 5
    for text in ("", "7", "7w", "99999999d", "2026-13-01"):
        with pytest.raises(EnvoiError):
            read_time(text)


def test_reasons_are_counted_by_kind_and_server(run, send, lab):
    server = make_server(lab)
    for number in range(3):
        refused(send(f"a{number}@example.com"), server_id=server.id)
    become(send("b@example.com"), state=MailState.DEFERRED, failure_kind=FailureKind.SERVER_MISSING)
    found = rows(run("reasons", "--json"))
    assert [(row["mails"], row["kind"], row["server"]) for row in found] == [
        (3, "recipient_unknown", "Lab"),
        (1, "server_missing", ""),
    ]
    assert "Address unknown" in run("reasons").output
    assert [row["mails"] for row in rows(run("reasons", "--json", "--state", "deferred"))] == [1]


@pytest.mark.smtp
def test_show_tells_everything(run, server, send, company):
    mail = service.submit(with_file(draft(company, "refused+one@example.com")), None)
    deliver([mail.id])
    db.session.expire_all()
    output = run("show", mail.id).output
    for words in (
        "state: failed",
        "reason: Address unknown",
        "who acts: The sender",
        "550 5.1.1",
        "Failed: nobody has got it",
        "Taken by a sending process",
        mail.attachments[0].sha256,
        "note.txt",
    ):
        assert words in output, words
    assert "RCPT TO" not in output
    assert "RCPT TO" in run("show", mail.id, "--transcript").output
    data = json.loads(run("show", mail.id, "--json", "--transcript").stdout)
    assert [event["what"] for event in data["events"]] == [
        "Send pressed",
        "Taken by a sending process",
        "Failed: nobody has got it",
    ]
    assert "RCPT TO" in data["attempts"][0]["transcript"]
    assert data["recipients"][0]["code"] == 550


def test_what_a_waiting_mail_waits_for_is_told(run, send):
    mail = become(send("one@example.com"), state=MailState.DEFERRED, failure_kind=FailureKind.SERVER_MISSING)
    assert "waits for: It waits for a mail server" in run("show", mail.id).output


@pytest.mark.parametrize("number", [0, 999, 2**40, 2**80])
@pytest.mark.parametrize(
    "command", [("show",), ("eml",), ("retry",), ("cancel",), ("mark", "--sent"), ("send-now",)]
)
def test_a_mail_that_is_not_there_is_told(run, send, command, number):
    send("one@example.com")
    assert f"There is no email {number}." in str(run(*command, number, fails=True).exception)


# -- the exact message -----------------------------------------------------------------------------------


@pytest.mark.smtp
def test_eml_writes_the_exact_message(run, server, send):
    mail = send("one@example.com")
    assert "does not exist yet" in str(run("eml", mail.id, fails=True).exception)
    deliver([mail.id])
    db.session.expire_all()
    assert hashlib.sha256(run("eml", mail.id).stdout_bytes).hexdigest() == mail.message_sha256
    become(mail, contents_erased_at=clock.now())
    assert "were erased" in str(run("eml", mail.id, fails=True).exception)


# -- acting ----------------------------------------------------------------------------------------------


def test_every_step_says_that_the_command_line_did_it_and_who_ran_it(run, send):
    mail = refused(send("one@example.com"))
    assert run("retry", mail.id).output == "1 of 1 on the queue again.\n"
    assert mail.state is MailState.QUEUED
    assert mail.events[-1].actor == f"command line ({getpass.getuser()})"
    assert run("retry", mail.id).output == "0 of 1 on the queue again.\n"
    assert run("cancel", mail.id).output == "1 of 1 canceled.\n"
    assert mail.events[-1].actor == f"command line ({getpass.getuser()})"


def test_send_now_puts_it_first(run, send, monkeypatch):
    asked: list[bool] = []
    real = service.resend
    monkeypatch.setattr(
        service, "resend", lambda ids, **options: (asked.append(options["front"]), real(ids, **options))[1]
    )
    mail = refused(send("one@example.com"))
    assert json.loads(run("send-now", mail.id, "--json").stdout) == {
        "changed": [mail.id],
        "left": 0,
        "outdated": [],
    }
    assert asked == [True]


def test_all_that_match_are_worked_on_in_chunks(run, send, monkeypatch):
    monkeypatch.setattr(selection, "CHUNK", 2)
    failed = [refused(send(f"a{number}@example.com")) for number in range(5)]
    other = refused(send("b@example.com"), failure_kind=FailureKind.MESSAGE_REFUSED)
    done = json.loads(run("retry", "--kind", "recipient_unknown", "--json").stdout)
    assert done == {"changed": [mail.id for mail in failed], "left": 0, "outdated": []}
    assert become(other).state is MailState.FAILED


def test_bulk_leaves_alone_what_nobody_asked_for(run, send):
    kept = {
        MailState.UNCERTAIN: uncertain(send("a@example.com")),
        MailState.CANCELED: become(send("b@example.com"), state=MailState.CANCELED),
        MailState.SCHEDULED: become(send("c@example.com"), state=MailState.SCHEDULED),
        MailState.SENT: accepted(send("d@example.com")),
    }
    failed = refused(send("e@example.com"))
    assert json.loads(run("retry", "--search", "example.com", "--json").stdout)["changed"] == [failed.id]
    for state, mail in kept.items():
        assert become(mail).state is state


def test_an_uncertain_mail_is_sent_again_only_when_that_is_said(run, send):
    mail = uncertain(send("one@example.com"))
    assert run("retry", mail.id).output == "0 of 1 on the queue again.\n"
    assert mail.state is MailState.UNCERTAIN
    assert run("retry", mail.id, "--uncertain").output == "1 of 1 on the queue again.\n"


def test_acting_on_everything_by_mistake_is_refused(run, send):
    mail = send("one@example.com")
    for command in ("retry", "send-now", "cancel"):
        assert "say which" in str(run(command, fails=True).exception)
        assert "not both" in str(run(command, mail.id, "--failed", fails=True).exception)
    assert become(mail).state is MailState.QUEUED


def test_marking_settles_what_is_uncertain(run, send):
    mail = uncertain(send("one@example.com"))
    assert "Say what the recipient has said" in str(run("mark", mail.id, fails=True).exception)
    assert "sent." in run("mark", mail.id, "--sent").output
    assert mail.state is MailState.SENT
    assert "no longer uncertain" in str(run("mark", mail.id, "--not-received", fails=True).exception)
    other = uncertain(send("two@example.com"))
    assert json.loads(run("mark", other.id, "--not-received", "--json").stdout)["state"] == "failed"


def test_correcting_an_address(run, send, customer):
    mail = refused(send("client@example.com"))
    recipient_becomes(mail, partner_id=customer.id)
    assert "has no recipient" in str(
        run("correct", mail.id, "x@example.com", "y@example.com", fails=True).exception
    )
    assert "not a valid" in str(
        run("correct", mail.id, "client@example.com", "nonsense", fails=True).exception
    )
    run("correct", mail.id, "Client@Example.com", "right@example.com", "--resend", "--contact")
    assert mail.recipients[0].addr_spec == "right@example.com"
    assert mail.state is MailState.QUEUED
    assert customer.email == "right@example.com"


def test_correcting_an_uncertain_mail_does_not_send_it_again(run, send):
    mail = uncertain(send("one@example.com", "two@example.com"))
    recipient_becomes(mail, 1, state=RecipientState.REFUSED)
    run("correct", mail.id, "two@example.com", "right@example.com", "--resend")
    assert mail.state is MailState.UNCERTAIN


# -- hostile contents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("list", "--json"),
        ("show", "--transcript", "{id}"),
        ("show", "--json", "--transcript", "{id}"),
        ("reasons",),
        ("reasons", "--json"),
    ],
    ids=" ".join,
)
def test_a_terminal_gets_nothing_that_it_might_obey(run, send, lab, command):
    server = make_server(lab, name=HOSTILE[:80])
    mail = refused(
        send("one@example.com"),
        subject=HOSTILE,
        failure_reason=HOSTILE + "z" * 1_000_000,
        server_id=server.id,
        sender_address=HOSTILE,
    )
    recipient_becomes(mail, display_name=HOSTILE, diagnostic=HOSTILE, addr_spec=HOSTILE)
    output = run(*(part.format(id=mail.id) for part in command)).stdout
    assert not HARMFUL & set(output)
    if "--json" in command:
        data = json.loads(output)
        found = data[0] if isinstance(data, list) else data
        assert HOSTILE in found.values() or HOSTILE[:80] in found.values(), "as it is, for scripts"
