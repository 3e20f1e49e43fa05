"""The list of the outbox: what it shows, to whom, narrowed to what, and by which index."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from werkzeug.datastructures import MultiDict

from core import clock
from core.companies.service import save_company
from core.db import db, transaction
from core.mail.outcomes import FailureKind
from core.web.listing import Criteria, read_criteria
from modules.mail_config.models import ServerHealth
from modules.outbox.mail_list import facet_counts, query_plan
from modules.outbox.mail_list.filters import mail_list, rows
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import make_server
from tests.outbox.mails import HARMFUL, HOSTILE
from tests.outbox.many import write
from tests.statements import statements

pytestmark = pytest.mark.both_databases


@pytest.fixture
def support(make_user):
    return make_user("support")


@pytest.fixture
def client(support, sign_in):
    return sign_in(support)


def shown(client, query=""):
    """Return the ids of the mails on a page, in order."""
    response = client.get(f"/outbox/mails{query}")
    assert response.status_code == 200
    return [int(number) for number in re.findall(r'<tr\s+id="mail-(\d+)"', response.text)]


def line(client, mail_id, query=""):
    html = client.get(f"/outbox/mails{query}").text
    found = re.search(rf'<tr\s+id="mail-{mail_id}".*?</tr>', html, re.DOTALL)
    assert found is not None
    return found[0]


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


STATES = [
    {"state": MailState.SENT},
    {"state": MailState.FAILED, "failure_kind": FailureKind.MAILBOX_FULL},
    {"state": MailState.PARTIAL, "failure_kind": FailureKind.RECIPIENT_UNKNOWN},
    {"state": MailState.UNCERTAIN, "failure_kind": FailureKind.OUTCOME_UNKNOWN},
    {"state": MailState.DEFERRED, "failure_kind": FailureKind.MAILBOX_FULL},
    {"state": MailState.QUEUED},
    {"state": MailState.SCHEDULED},
    {"state": MailState.SENDING},
    {"state": MailState.CANCELED},
]


def test_saved_filters_and_facets_narrow_the_list_and_combine(company, client, support):
    other = save_company(None, {"name": "Other Ltd", "email": "x@other.example.com"})
    write(company, STATES)
    write(other, [{"document_kind": "sales.order", "submitted_by_id": support.id}])
    for query, ids in {
        "": [10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
        "?f=failed": [4, 3, 2],
        "?f=waiting": [8, 7, 6, 5],
        "?f=uncertain": [4],
        "?f=sent": [10, 1],
        "?f=mine": [10],
        "?f=failed&f=waiting": [8, 7, 6, 5, 4, 3, 2],
        "?state=canceled": [9],
        "?state=scheduled": [7],
        "?kind=mailbox_full": [5, 2],
        "?kind=mailbox_full&f=failed": [2],
        "?server=none&state=sent": [10, 1],
        "?company=1": [9, 8, 7, 6, 5, 4, 3, 2, 1],
        f"?company={other.id}&f=sent&document=sales.order": [10],
        "?document=none&f=sent": [1],
        "?q=client4": [4],
        "?q=client&f=failed": [4, 3, 2],
        "?f=waiting&sort=next&dir=asc": [5, 6, 7, 8],
        "?f=failed&sort=subject": [2, 3, 4],
    }.items():
        assert sorted(shown(client, query)) == sorted(ids), query
        if "sort" not in query and "period" not in query and other.id != 0 and 10 not in ids:
            assert shown(client, query) == ids, query


@pytest.mark.parametrize("few", [0, 5000])
def test_whichever_part_leads_the_same_is_found(company, client, monkeypatch, few):
    monkeypatch.setattr(query_plan, "FEW", few)
    monkeypatch.setattr(query_plan, "FEW_TO_SORT", few)
    write(company, STATES * 3)
    for query in ("f=failed&kind=mailbox_full", "state=deferred&company=1", "f=sent&document=none&period=7d"):
        for order in ("", "&sort=subject", "&dir=asc"):
            ids = set(shown(client, f"?{query}{order}"))
            assert len(ids) == 3, query
            assert ids == set(shown(client, f"?{query}&q=mail")), query


NONSENSE = [
    "state=nonsense",
    "kind=%27%20OR%201=1",
    "server=-1",
    "server=99999999999999999999",
    "server=%D9%A3",
    "company=none",
    "period=2026-02-30..",
    "period=..",
    "period=0001-01-01..",
    "sort=next",
    "f=nonsense",
    "state=" + "x" * 5000,
    "after=nonsense&before=nonsense",
]


@pytest.mark.parametrize("query", NONSENSE)
def test_what_makes_no_sense_in_the_address_is_left_out(company, client, query):
    write(company, STATES)
    assert len(shown(client, f"?{query}")) == len(STATES)


def test_a_long_search_is_answered(company, client):
    write(company, STATES)
    assert shown(client, "?q=" + "x" * 10_000) == []
    assert client.get("/outbox/mails?q=a%00b").status_code == 400


def test_periods_are_days_of_the_user(company, client, support, monkeypatch):
    with transaction():
        support.timezone = "Pacific/Auckland"
    # 23:30 of 9 March in UTC is noon of the 10th in Auckland.
    now = dt.datetime(2026, 3, 9, 23, 30, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    hours = [0, 11, 13, 36, 24 * 6, 24 * 29, 24 * 31]
    ids = write(company, [{"submitted_at": now - dt.timedelta(hours=hour)} for hour in hours])
    for period, count in {
        "today": 2,
        "yesterday": 2,
        "7d": 5,
        "30d": 6,
        "month": 5,
        "2026-03-08..2026-03-09": 2,
        "2026-03-09..2026-03-08": 2,
        "..2026-03-08": 3,
        "2026-03-10..": 2,
    }.items():
        assert set(shown(client, f"?period={period}")) <= set(ids)
        assert len(shown(client, f"?period={period}")) == count, period
    assert len(shown(client, "?f=today")) == 2


def test_days_of_a_form_become_a_period_in_the_address(client):
    response = client.get("/outbox/mails?from=2026-01-02&to=&f=failed&panel=1")
    assert response.location.endswith("/outbox/mails?period=2026-01-02..&f=failed&panel=1")
    assert client.get("/outbox/mails?from=&to=").location.endswith("/outbox/mails")


def test_the_list_keeps_to_the_reach(company, make_user, sign_in):
    other = save_company(None, {"name": "Other Ltd", "email": "x@other.example.com"})
    anna, ben = make_user("salesperson"), make_user("cashier")
    write(company, [{"submitted_by_id": anna.id}, {"submitted_by_id": ben.id}, {}])
    write(other, [{"submitted_by_id": anna.id}])
    own = sign_in(anna)
    for query in ("", "?q=client", "?f=mine", "?f=sent&document=none", "?sort=subject", "?company=2"):
        assert shown(own, query) == [1], query
    assert client_count(own, "/outbox/mails/matching") == 1
    assert "Other Ltd" not in own.get("/outbox/mails/filters").text
    everything = make_user("administrator")
    assert len(shown(sign_in(everything))) == 4


def test_what_is_selected_is_taken_away_as_a_table_as_far_as_it_may_be_read(company, make_user, sign_in):
    anna = make_user("salesperson")
    subjects = {"=1+1": MailState.SENT, "Second": MailState.SENT, "Third": MailState.FAILED}
    of_anna = [{"subject": it, "state": state, "submitted_by_id": anna.id} for it, state in subjects.items()]
    mine, theirs = write(company, of_anna), write(company, [{"subject": "Theirs"}])
    clerk = sign_in(anna)

    def taken(**form):
        answer = clerk.post("/lists/outbox.mails/table", data={"as": "csv", **form})
        return [row[1] for row in list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))[1:]]

    assert sorted(taken(id=[mine[0], mine[1], *theirs])) == ["'=1+1", "Second"]
    assert taken(all=1, criteria="f=failed") == ["Third"]
    assert "Theirs" not in taken(all=1)


def client_count(client, address):
    return int(re.search(r"Select all (\d+)", client.get(address).text)[1])


def test_a_line_says_what_there_is_to_know(company, client, lab, support):
    server = make_server(lab, name="Lab")
    write(
        company,
        [
            {
                "state": MailState.FAILED,
                "failure_kind": FailureKind.AUTH_FAILED,
                "server_id": server.id,
                "attempts": 3,
                "submitted_by_id": support.id,
                "recipient_count": 4,
            },
            {
                "state": MailState.DEFERRED,
                "failure_kind": FailureKind.PACED,
                "server_id": server.id,
                "next_attempt_at": clock.now() + dt.timedelta(hours=3, seconds=30),
            },
            {
                "state": MailState.DEFERRED,
                "failure_kind": FailureKind.CONNECT_FAILED,
                "server_id": server.id,
            },
            {"subject": HOSTILE},
        ],
    )
    failed = line(client, 1)
    assert 'class="failed"' in failed
    assert "failed Mail 1 client1@example.com +3 Support Sign-in refused · Lab 3" in words(failed)
    assert "leaves in 3 hours" in words(line(client, 2))
    assert "when the server is back" not in words(line(client, 3))
    with transaction() as session:
        session.add(ServerHealth(server_id=server.id, open_since=clock.now(), failures=3))
    assert "when the server is back" in words(line(client, 3))
    assert not HARMFUL & set(line(client, 4))
    assert "<script>" not in line(client, 4)


def test_the_list_costs_the_same_number_of_queries_for_one_mail_and_for_many(company, client):
    counts = []
    for many in (1, 30):
        write(company, STATES[:1] * many)
        client.get("/outbox/mails")
        with statements() as asked:
            shown(client)
        counts.append(len(asked))
    assert counts[0] == counts[1]


# -- what has changed ----------------------------------------------------------------------------------


def versions(client, query=""):
    html = client.get(f"/outbox/mails{query}").text
    return re.findall(r'name="row" value="([^"]+)"', html), re.search(r'name="newest" value="(\d+)"', html)[1]


def live(client, pairs, newest, query=""):
    response = client.get(
        f"/outbox/mails/live?{urlencode([*[('row', pair) for pair in pairs], ('newest', newest)])}{query}",
        headers={"X-Quiet": "1"},
    )
    assert response.status_code == 200
    return response


def test_only_lines_that_have_changed_come_back(company, client):
    ids = write(company, STATES[:3])
    pairs, newest = versions(client)
    nothing = live(client, pairs, newest).text
    assert "<tr" not in nothing
    assert "Set-Cookie" not in live(client, pairs, newest).headers  # nobody may be there any more
    with transaction():
        db.session.get_one(OutgoingMail, ids[1]).attempts = 7
    changed = live(client, pairs, newest).text
    assert re.findall(r'<tr\s+id="mail-(\d+)"[^>]*hx-swap-oob="true"', changed) == ["2"]


def test_new_mails_that_match_are_told_of_and_lead_to_the_list(company, client):
    write(company, STATES[:3])
    pairs, newest = versions(client, "?f=failed")
    write(company, [STATES[0], STATES[1], STATES[1]])
    news = live(client, pairs, newest, "&f=failed").text
    assert "2 new emails" in news
    assert 'href="/outbox/mails?f=failed"' in news
    write(company, STATES[1:2] * 120)
    assert "100+ new emails" in live(client, pairs, newest, "&f=failed").text


def test_lines_of_others_and_nonsense_stay_away(company, make_user, sign_in):
    write(company, STATES[:2])
    own = sign_in(make_user("salesperson"))
    assert "<tr" not in live(own, ["1:x", "2:y", "nonsense", "99999999999:z", ":"], "0").text
    assert "<tr" not in live(own, [], "-5").text
    assert live(own, [], "9" * 50).status_code == 200
    assert (
        own.application.test_client().get("/outbox/mails/live?row=1:x", headers={"X-Quiet": "1"}).status_code
        == 204
    )


# -- counts and groups ---------------------------------------------------------------------------------


def counted(user, query=""):
    criteria = read_criteria(mail_list(user), MultiDict(part.split("=") for part in query.split("&") if part))
    return {
        facet.name: {entry.choice.value: entry.count and str(entry.count) for entry in values}
        for facet, values in facet_counts.tally(user, criteria)
    }


@pytest.mark.parametrize("few", [0, 5000])
def test_facets_say_how_many_mails_they_would_leave(app, company, support, monkeypatch, few):
    for module in (query_plan, facet_counts):
        monkeypatch.setattr(module, "FEW_TO_SORT", few)
    monkeypatch.setattr(query_plan, "FEW", few)
    write(company, STATES * 2)
    with app.test_request_context():
        whole = counted(support)
        assert {name: whole["state"].get(name) for name in ("failed", "canceled", "queued", "sending")} == {
            "failed": "2",
            "canceled": "2",
            "queued": "2",
            "sending": "2",
        }
        assert whole["kind"]["mailbox_full"] == "4"
        assert "tls_failed" not in whole["kind"]  # would leave nothing
        failed = counted(support, "f=failed")
        assert failed["kind"] == {"mailbox_full": "2", "outcome_unknown": "2", "recipient_unknown": "2"}
        # Its own value aside: what choosing another would leave.
        chosen = counted(support, "f=failed&kind=mailbox_full")
        assert chosen["kind"] == failed["kind"]
        assert {value: count for value, count in chosen["state"].items() if count} == {"failed": "2"}
        assert counted(support, "q=client3")["state"] == {"partial": "1"}


def test_counts_have_a_bound(app, company, support, monkeypatch):
    monkeypatch.setattr(facet_counts, "COUNTED", 3)
    monkeypatch.setattr(facet_counts, "LOOKED_AT", 4)
    monkeypatch.setattr(facet_counts, "FEW_TO_SORT", 4)
    monkeypatch.setattr(query_plan, "FEW", 4)
    write(company, STATES[1:2] * 6)
    with app.test_request_context():
        assert counted(support)["kind"] == {"mailbox_full": "3+"}
        assert counted(support, "f=failed")["kind"]["mailbox_full"] is None  # not to be had by an index


def test_failed_and_waiting_mails_are_grouped_by_reason(company, client, support, lab):
    server = make_server(lab, name="Lab")
    refused = {
        "state": MailState.FAILED,
        "failure_kind": FailureKind.AUTH_FAILED,
        "server_id": server.id,
        "failure_reason": "535 5.7.8 no",
    }
    write(company, [*STATES, *[refused] * 3, {**refused, "state": MailState.DEFERRED}])
    found = facet_counts.groups(support, Criteria())
    assert [(group.kind, group.waiting, group.count.found) for group in found] == [
        (FailureKind.AUTH_FAILED, False, 3),
        (FailureKind.MAILBOX_FULL, False, 1),
        (FailureKind.OUTCOME_UNKNOWN, False, 1),
        (FailureKind.RECIPIENT_UNKNOWN, False, 1),
        (FailureKind.AUTH_FAILED, True, 1),
        (FailureKind.MAILBOX_FULL, True, 1),
    ]
    html = client.get("/outbox/mails?group=reason").text
    assert "Sign-in refused" in html
    assert "535 5.7.8 no" in html
    address = re.search(r'<a\s+class="row-link"\s+href="([^"]+)"[^>]*>\s*Sign-in', html)[1].replace(
        "&amp;", "&"
    )
    assert shown(client, address.removeprefix("/outbox/mails")) == [12, 11, 10]
    assert client.get("/outbox/mails?group=reason&q=client2&server=none").text.count("<tr") == 2


def test_the_technical_menu_leads_to_the_failures(client):
    assert client.get("/outbox/technical").location == "/outbox/mails?f=failed"


# -- plans ---------------------------------------------------------------------------------------------

INDEXES = {
    "": "ix_outbox_mail_submitted_at",
    "f=failed": "ix_outbox_mail_failed_list",
    "state=failed": "ix_outbox_mail_failed_list",
    "f=uncertain": "ix_outbox_mail_failed_list",
    "f=waiting": "ix_outbox_mail_waiting_list",
    "state=deferred": "ix_outbox_mail_waiting_list",
    "state=canceled": "ix_outbox_mail_canceled",
    "f=sent": "ix_outbox_mail_submitted_at",
    "f=mine": "ix_outbox_mail_submitted_by_id",
    "f=today": "ix_outbox_mail_submitted_at",
    "period=7d": "ix_outbox_mail_submitted_at",
    "kind=mailbox_full": "ix_outbox_mail_failure_kind",
    "server=3": "ix_outbox_mail_server_id",
    "server=none": "ix_outbox_mail_server_id",
    "company=1": "ix_outbox_mail_company_id",
    "document=sales.order": "ix_outbox_mail_document_kind",
    "f=failed&server=3": "ix_outbox_mail_failed_list",
    "f=failed&kind=mailbox_full": "ix_outbox_mail_failed_list",
    "f=failed&company=1&document=sales.order": "ix_outbox_mail_failed_list",
    "f=failed&period=7d": "ix_outbox_mail_failed_list",
    "f=sent&period=7d": "ix_outbox_mail_submitted_at",
    "f=mine&company=1": "ix_outbox_mail_submitted_by_id",
    "company=1&period=30d": "ix_outbox_mail_company_id",
    "company=1&document=sales.order": "ix_outbox_mail_company_id",
    "server=3&company=1&document=sales.order": "ix_outbox_mail_server_id",
    "f=waiting&sort=next": "ix_outbox_mail_next_try",
    "f=waiting&sort=next&server=3": "ix_outbox_mail_next_try",
    "sort=subject": "ix_outbox_mail_subject",
    "sort=subject&company=1": "ix_outbox_mail_subject",
}


def plan_of(statement):
    """Return how the database would go about a statement; sequential scans and sorts are out of the question."""
    compiled = statement.compile(
        db.engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    sql = str(compiled).replace("%%", "%")
    if db.engine.dialect.name == "sqlite":
        return "\n".join(
            str(row[3])
            for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql.replace(':', chr(92) + ':')}"))
        )
    with db.engine.connect() as connection:
        # A table of a test is so small that reading all of it would be right.
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return "\n".join(
            str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {sql.replace('%', '%%')}")
        )


def wrong_plan(user, query):
    """Return the plan of a way to look at the list that does not walk an index of its own; "" where it does."""
    arguments = MultiDict(part.split("=") for part in query.split("&") if part)
    spec = mail_list(user)
    sort = next(key for key in spec.sorts if key.name == arguments.get("sort", "sent"))
    narrow = spec.narrow(rows(), read_criteria(spec, arguments), sort)
    down = sort.name == "sent"
    order = [part.desc() if down else part.asc() for part in (sort.expression, spec.identity)]
    plan = plan_of(narrow.statement.order_by(*order).limit(41))
    if db.engine.dialect.name == "sqlite":
        right = f"INDEX {INDEXES[query]}" in plan and "TEMP B-TREE" not in plan
    else:
        index = re.search(r"Index Scan (Backward )?using ix_outbox_mail_\w+ on outbox_mail", plan)
        right = index is not None and "Sort Key" not in plan
    return "" if right else plan


def test_each_way_to_look_at_the_list_walks_an_index_of_its_own(app, company, support, monkeypatch):
    # As if each filter left many mails, so that it is the index that leads.
    monkeypatch.setattr(query_plan, "FEW", -1)
    monkeypatch.setattr(query_plan, "FEW_TO_SORT", -1)
    write(company, STATES * 100)
    save_company(None, {"name": "Other Ltd", "email": "x@other.example.com"})
    with app.test_request_context():
        wrong = {query: plan for query in INDEXES if (plan := wrong_plan(support, query))}
    assert not wrong


@pytest.mark.parametrize(
    "query", ["f=failed&sort=subject", "kind=mailbox_full&f=sent", "f=today&server=none"]
)
def test_a_filter_that_leaves_few_is_asked_first_and_its_mails_are_sorted(app, company, support, query):
    write(company, STATES * 100)
    arguments = MultiDict(part.split("=") for part in query.split("&"))
    with app.test_request_context():
        spec = mail_list(support)
        sort = next(key for key in spec.sorts if key.name == arguments.get("sort", "sent"))
        found = spec.narrow(rows(), read_criteria(spec, arguments), sort)
    assert found.few
    plan = plan_of(found.statement.order_by(found.in_order_of(sort.expression)).limit(41))
    # Not an index that has the order, which would be walked in vain where the mails are rare.
    assert "ix_outbox_mail_subject" not in plan, plan
    if db.engine.dialect.name == "sqlite":
        assert re.search(
            r"outbox_mail USING INDEX ix_outbox_mail_(fail|reason|server_id|submitted_at)", plan
        ), plan
        assert "TEMP B-TREE FOR ORDER BY" in plan, plan


def test_the_next_page_begins_where_its_index_says(app, company, client):
    write(company, STATES * 10)
    html = client.get("/outbox/mails?f=sent&company=1").text
    address = re.search(r'rel="next" href="([^"]+)"', client.get("/outbox/mails").text)[1]
    assert html
    with statements() as asked:
        client.get(address.replace("&amp;", "&"))
    # One comparison of rows, which an index can follow; not an OR, which it cannot.
    (page,) = [statement for statement in asked if "ORDER BY outbox_mail.submitted_at" in statement]
    assert "(outbox_mail.submitted_at, outbox_mail.id) <" in page
