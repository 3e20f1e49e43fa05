"""The rule by which a mail leaves, as tables: purpose, user, company, From filter, priority, health. No I/O."""

from __future__ import annotations

import pytest
from flask import Flask

from core.auth.models import User
from core.companies.models import Company
from core.mail.addresses import Address
from core.mail.draft import Purpose
from core.mail.outcomes import FailureKind
from modules.mail_config.models import CompanySender, Encryption, MailServer, UserSender
from modules.mail_config.senders.rule import Facts, Route, decide

COMPANY = "sales@maison.example.com"
SOPHIE = "sophie@maison.example.com"


@pytest.fixture(autouse=True)
def _in_english(plain_app: Flask):
    with plain_app.test_request_context():
        yield


@pytest.fixture(scope="module")
def plain_app() -> Flask:
    """An application that can translate, and has no database."""
    from flask_babel import Babel  # noqa: PLC0415

    app = Flask("rule")
    Babel(app)
    return app


def server(number: int, **changes: object) -> MailServer:
    values: dict[str, object] = {
        "id": number,
        "name": f"S{number}",
        "host": "smtp.example.com",
        "port": 587,
        "encryption": Encryption.STARTTLS,
        "username": "",
        "secret": None,
        "from_filter": "",
        "priority": 10,
        "relay": False,
        "own_address": "",
        "ca_certificate": "",
        "tested": True,
        **changes,
    }
    tested = values.pop("tested")
    row = MailServer(**values)
    row.tested_fingerprint = row.fingerprint if tested else ""
    return row


def facts(*servers: MailServer, **changes: object) -> Facts:
    user = changes.pop("user", User(id=7, login=SOPHIE, name="Sophie Bernard", active=True))
    own = changes.pop("own", None)
    if own is not None:
        row = UserSender(**{"user_id": 7, "name": "", "own_server": False, "allowed_address": "", **own})
        row.user = user
        own = row
    of_company = changes.pop("of_company", None)
    if of_company is not None:
        of_company = CompanySender(
            **{"address": "", "name": "", "reply_to": "", "server_id": None, **of_company}
        )
    company = Company(id=1, name="Maison", email=changes.pop("email", COMPANY))
    values = {"company": company, "purpose": Purpose.SINGLE, **changes}
    return Facts(user=user, own=own, company_sender=of_company, servers=servers, **values)


def said(route: Route) -> tuple[str, str, str]:
    return route.server_name, str(route.header_from), str(route.reply_to or "")


OWN = {"address": SOPHIE}
ELSEWHERE = {"address": "sophie@elsewhere.example.com"}
MINE = server(9, owner_id=7, name="Mine")
ME = f"Sophie Bernard <{SOPHIE}>"
HOUSE = f"Maison <{COMPANY}>"
VIA = f"Sophie Bernard via Maison <{COMPANY}>"


@pytest.mark.parametrize(
    ("servers", "changes", "expected"),
    [
        # Purpose and user: who it is from.
        ([server(1)], {}, ("S1", HOUSE, ME)),
        ([server(1)], {"own": OWN}, ("S1", ME, "")),
        ([server(1)], {"own": {**OWN, "name": "Sophie"}}, ("S1", f"Sophie <{SOPHIE}>", "")),
        ([server(1)], {"own": OWN, "purpose": Purpose.BATCH}, ("S1", HOUSE, ME)),
        ([server(1)], {"own": OWN, "purpose": Purpose.RECEIPT}, ("S1", HOUSE, "")),
        ([server(1)], {"user": None, "purpose": Purpose.ALERT}, ("S1", HOUSE, "")),
        (
            [server(1)],
            {"own": OWN, "user": User(id=7, login=SOPHIE, name="Sophie Bernard", active=False)},
            ("S1", HOUSE, ME),
        ),
        # Reply-To: what was asked for, the person, what is set for the purpose, who sends.
        ([server(1)], {"own": OWN, "reply_to": Address("x@example.com")}, ("S1", ME, "x@example.com")),
        (
            [server(1)],
            {"of_company": {"reply_to": "office@maison.example.com"}},
            ("S1", HOUSE, "office@maison.example.com"),
        ),
        ([server(1)], {"own": OWN, "of_company": {"reply_to": "office@maison.example.com"}}, ("S1", ME, "")),
        # The company's sender for the purpose.
        (
            [server(1)],
            {"purpose": Purpose.BATCH, "of_company": {"address": "news@maison.example.com", "name": "News"}},
            ("S1", "News <news@maison.example.com>", ME),
        ),
        ([server(1), server(2)], {"of_company": {"server_id": 2}}, ("S2", HOUSE, ME)),
        # The own server: for the own mails only, and only where it is asked for.
        ([server(1), MINE], {"own": {**ELSEWHERE, "own_server": True}},
         ("Mine", "Sophie Bernard <sophie@elsewhere.example.com>", "")),
        ([server(1), MINE], {"own": OWN}, ("S1", ME, "")),
        ([server(1), MINE], {"own": {**OWN, "own_server": True}, "purpose": Purpose.BATCH}, ("S1", HOUSE, ME)),
        ([server(1), MINE], {}, ("S1", HOUSE, ME)),
        ([server(1), server(9, owner_id=8)], {"own": {**OWN, "own_server": True}}, ("S1", ME, "")),
        (
            [MINE],
            {
                "own": {**OWN, "own_server": True},
                "user": User(id=7, login=SOPHIE, name="Sophie Bernard", active=False),
            },
            ("", HOUSE, ME),
        ),
        ([server(2), MINE], {"own": {**OWN, "own_server": True}, "of_company": {"server_id": 2}}, ("Mine", ME, "")),
        # From filter before priority; rewritten where no server may.
        (
            [server(1, from_filter=COMPANY, priority=1), server(2, priority=50)],
            {"own": OWN},
            ("S2", ME, ""),
        ),
        ([server(1, from_filter=COMPANY)], {"own": OWN}, ("S1", VIA, ME)),
        (
            [server(1, from_filter="house.example.com", own_address="post@house.example.com")],
            {"own": OWN},
            ("S1", "Sophie Bernard via Maison <post@house.example.com>", ME),
        ),
        (
            [server(1, from_filter="house.example.com", own_address="post@house.example.com")],
            {},
            ("S1", "Maison <post@house.example.com>", ME),
        ),
        ([server(1, from_filter="other.example.com")], {"own": OWN}, ("", ME, "")),
        # An address that nobody has allowed is no company server's, however wide its filter.
        ([server(1)], {"own": ELSEWHERE},
         ("S1", VIA, "Sophie Bernard <sophie@elsewhere.example.com>")),
        ([server(1)], {"own": {**ELSEWHERE, "allowed_address": "boss@elsewhere.example.com"}},
         ("S1", VIA, "Sophie Bernard <sophie@elsewhere.example.com>")),
        ([server(1)], {"own": {**ELSEWHERE, "allowed_address": "sophie@elsewhere.example.com"}},
         ("S1", "Sophie Bernard <sophie@elsewhere.example.com>", "")),
        # The company's own servers, then priority.
        ([server(1, priority=1), server(2, company_id=1, priority=50)], {}, ("S2", HOUSE, ME)),
        ([server(1, priority=9), server(2, priority=2)], {}, ("S2", HOUSE, ME)),
        # The relay of the house: for all who have none; a company without an address as well.
        ([server(1, relay=True, own_address="relay@house.example.com", priority=1), server(2)], {"own": OWN},
         ("S2", ME, "")),
        ([server(1, relay=True, own_address="relay@house.example.com")], {"own": ELSEWHERE},
         ("S1", "Sophie Bernard <relay@house.example.com>", "Sophie Bernard <sophie@elsewhere.example.com>")),
        ([server(1, relay=True, own_address="relay@house.example.com")], {"email": ""},
         ("S1", "Maison <relay@house.example.com>", ME)),
        ([server(1, relay=True, own_address="relay@house.example.com")], {"user": None, "purpose": Purpose.BATCH},
         ("S1", "Maison <relay@house.example.com>", HOUSE)),
        ([server(1, relay=True)], {"own": OWN}, ("", ME, "")),
        # What an earlier attempt has fixed stays, by a server that may send it.
        ([server(1), server(2, from_filter=SOPHIE)], {"own": OWN, "fixed": Address(SOPHIE, "Sophie Bernard")},
         ("S1", ME, "")),
        ([server(1)], {"fixed": Address("old@maison.example.com", "Old")},
         ("S1", "Old <old@maison.example.com>", ME)),
    ],
)  # fmt: skip
def test_who_sends_from_where(servers, changes, expected):
    route = decide(facts(*servers, **changes))
    assert said(route) == expected
    wanted = facts(**changes).wanted.addr_spec
    # Of a From that was fixed it is told that it was, not what it would be by now.
    differs = "fixed" not in changes and route.header_from.addr_spec != wanted
    assert bool(route.rewritten) == (bool(route.server_id) and differs)
    assert route.rewritten == "" or route.rewritten in route.why, "never silently"


@pytest.mark.parametrize(
    ("servers", "paused", "changes", "chosen", "problem"),
    [
        ([server(1), server(2)], {}, {}, "S1", None),
        ([server(1), server(2)], {1: FailureKind.TIMEOUT}, {}, "S2", None),
        ([server(1, tested=False), server(2)], {}, {}, "S2", None),
        (
            [server(1), server(2)],
            {1: FailureKind.TIMEOUT, 2: FailureKind.AUTH_FAILED},
            {},
            "S1",
            FailureKind.TIMEOUT,
        ),
        ([server(1, tested=False)], {}, {}, "S1", FailureKind.SERVER_UNTESTED),
        ([server(1, tested=False), server(2)], {2: FailureKind.TIMEOUT}, {}, "S2", FailureKind.TIMEOUT),
        ([server(1), MINE], {9: FailureKind.AUTH_FAILED}, {"own": {**OWN, "own_server": True}}, "S1", None),
        (
            [server(1), server(9, owner_id=7, tested=False)],
            {},
            {"own": {**OWN, "own_server": True}},
            "S1",
            None,
        ),
        (
            [server(1), server(2, relay=True, own_address="r@example.com")],
            {1: FailureKind.TIMEOUT},
            {},
            "S2",
            None,
        ),
        ([], {}, {}, "", FailureKind.SERVER_MISSING),
        ([server(1)], {}, {"email": ""}, "", FailureKind.SENDER_MISSING),
    ],
)
def test_another_server_stands_in(servers, paused, changes, chosen, problem):
    route = decide(facts(*servers, paused=paused, **changes))
    assert (route.server_name, route.problem) == (chosen, problem)
    first = servers[0].id if servers else None
    if problem is None and chosen not in {"", f"S{first}"}:
        assert any("would come first" in sentence for sentence in route.why)


def test_the_sentences_say_why():
    route = decide(
        facts(server(1, from_filter=COMPANY), MINE, own={**OWN, "own_server": True}, paused={9: None})
    )
    assert route.why == (
        f"“S1” may not send from {SOPHIE}, so From is {COMPANY} with the name “Sophie Bernard via Maison”.",
        f"Answers go to {SOPHIE}.",
        "Server “S1”: the first by priority whose From filter takes this address.",
        "“Mine” would come first, but is paused (–); another stands in for it.",
    )


def test_a_user_who_may_no_longer_sign_in_is_told_of():
    gone = User(id=7, login=SOPHIE, name="Sophie Bernard", active=False)
    route = decide(facts(server(1), own=OWN, user=gone))
    assert route.why[0] == (
        "Sophie Bernard may no longer sign in, so the own address and server are not used."
    )
