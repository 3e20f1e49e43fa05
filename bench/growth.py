"""`python -m bench.growth`: what each page costs each role in a small installation and in one with very many rows.

Pages are found by the walk of the conformance suite, and lists also by their own links: every order, filter and facet,
and what is searched for. Of each: CPU of the request and of the database's process, statements, and how much more that
is among many rows; of what is dear, the slowest statement with its plan. `--mails` says how many there are; for each
hundred there are 20 documents, 30 tickets, 25 people and 2 products. `--folder` keeps what was filled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, inspect, make_url, select, text
from sqlalchemy.exc import ProgrammingError

from bench.many_rows import demonstrate, multiply
from core import memory, migrate
from core.auth.models import Role, User
from core.db import db
from core.testing.applications import make_app
from core.testing.conformance.house import administrator_of, browser_of
from core.testing.conformance.tour import Walk, read_page
from core.testing.fixtures import test_settings
from core.testing.services import create_database, postgres_server
from modules.outbox.models import MAILS

SMALL = 2_000
ROUNDS = 2
GOAL_MS = 60.0
GOAL_RATIO = 1.5
NOTHING_MS = 5.0
"""Below this a ratio says nothing."""
ROLES = ("administrator", "salesperson", "support", "cashier")
ORDERS = ("sort", "f")
SEARCHED = ("dupont", "du", "INV", "zzzqqq")
"""Many have it, nearly all have it, nobody has it."""
_LINKS_OF_A_LIST = 60
_TYPED = ("core.people", "core.pick_products", "core.pick_users")
_NOT_PAGES = frozenset({"core.sign_out", "core.sign_in"})

Address = tuple[str, Any]
"""Where something is asked, and what is posted to it as JSON; None for a page."""


@dataclass(slots=True)
class Cost:
    """What an answer costs.

    Attributes:
        cpu_ms: Of the request, and of the database's own process.
        statements: How many the database was asked.
        octets: Of the answer.
        slowest: The statement that took longest, with what it was given.
        slowest_ms: How long, by the clock.
    """

    cpu_ms: float
    statements: int
    octets: int
    slowest: tuple[str, Any]
    slowest_ms: float


class Watch:
    """Counts and times the statements of an application, and its CPU with that of the database."""

    def __init__(self) -> None:
        self.statements: list[tuple[float, str, Any]] = []
        self._begun = 0.0
        self.server_pids: set[int] = set()
        event.listen(db.engine, "before_cursor_execute", self._before)
        event.listen(db.engine, "after_cursor_execute", self._after)

    def _before(self, *_given: Any) -> None:
        self._begun = time.perf_counter()

    def _after(self, connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        self.statements.append((time.perf_counter() - self._begun, statement, parameters))
        if connection.dialect.name == "postgresql":
            self.server_pids.add(connection.connection.dbapi_connection.info.backend_pid)

    def cpu(self) -> float:
        """Return the CPU that was used so far, in seconds."""
        spent = time.process_time()
        for pid in self.server_pids:
            with contextlib.suppress(OSError):
                spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        return spent

    def ask(self, client: FlaskClient, address: Address) -> Cost | None:
        """Ask for something, several times; None where the person may not."""
        best: Cost | None = None
        fewest = 0
        for turn in range(ROUNDS + 1):
            self.statements.clear()
            begun = self.cpu()
            where, posted = address
            answer = client.get(where) if posted is None else client.post(where, json=posted)
            spent = (self.cpu() - begun) * 1000
            if answer.status_code != 200:
                return None
            # What is kept for a moment is asked for anew by one of the turns, whichever that is.
            fewest = min(fewest or len(self.statements), len(self.statements))
            if turn and (best is None or spent < best.cpu_ms):
                slowest = max(self.statements, default=(0.0, "", ()), key=lambda seen: seen[0])
                best = Cost(
                    spent, len(self.statements), len(answer.data), (slowest[1], slowest[2]), slowest[0] * 1000
                )
            if turn and spent > 20 * GOAL_MS:
                break  # so slow that the second time tells nothing new
        return replace(best, statements=fewest) if best is not None else None


def plan_of(statement: str, parameters: Any) -> str:
    """Return how the database answers a statement."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(f"    {row[3]}" for row in rows)
        return "\n".join(
            f"    {row[0]}" for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        )


def pages_of(app: Flask) -> list[Address]:
    """Return what there is to ask in a house: one address of each page, and each way to look at a list."""
    client = administrator_of(app)
    walk = Walk(app, client)
    tour = walk.walk()
    found: dict[str, None] = {}
    for endpoint, addresses in sorted(tour.pages.items()):
        if endpoint in _NOT_PAGES or not addresses:
            continue
        plain = [address for address in addresses if "?" not in address] or addresses
        found.setdefault(plain[0])
        if endpoint in _TYPED:
            found.update({f"{plain[0]}?q={quote(word)}": None for word in SEARCHED})
            continue
        answer = client.get(plain[0])
        if answer.mimetype != "text/html" or f'href="{plain[0]}?' not in answer.text:
            continue
        found.update(dict.fromkeys(_ways(plain[0], answer.text)))
        if 'name="q"' in answer.text:
            found.update({f"{plain[0]}?q={quote(word)}": None for word in SEARCHED})
    with app.app_context():
        till = walk.adapter.build("pos.till_find", {"register_id": 1})
    return [
        *((address, None) for address in found),
        *((till, {"what": what, "text": word}) for what in ("customers", "products") for word in SEARCHED),
    ]


def _known_pages(app: Flask, file: Path) -> list[Address]:
    """Return what there is to ask, as it was found the last time in this folder."""
    if not file.exists():
        file.write_text(json.dumps(pages_of(app)))
    return [(where, posted) for where, posted in json.loads(file.read_text())]


def _ways(page: str, html: str) -> Iterator[str]:
    """Yield the orders, filters and facets that a list offers, and each order the other way around."""
    links = [link for link in dict.fromkeys(read_page(html).links) if urlsplit(link).path == page]
    for link in links[:_LINKS_OF_A_LIST]:
        query = dict(parse_qsl(urlsplit(link).query))
        if query.keys() & {"after", "before"}:
            continue
        yield link
        if "sort" in query and "dir" in query:
            turned = "asc" if query["dir"] == "desc" else "desc"
            yield link.replace(f"dir={query['dir']}", f"dir={turned}")


def people_of(app: Flask) -> dict[str, str]:
    """Return somebody of each role, by what the session cookie holds."""
    with app.app_context():
        rows = db.session.execute(select(Role.code, User).join(User.roles).order_by(User.id.desc())).all()
        found = {code: user.get_id() for code, user in rows}
        db.session.remove()
    return found


@contextlib.contextmanager
def house(folder: Path, mails: int, server: str | None) -> Iterator[Flask]:
    """An installation with so many mails; what was filled before is taken as it is."""
    changes = {"database_url": server} if server else {}
    app = make_app(test_settings(folder, **changes))
    # Of those who may not see something, what they are told is nothing to measure.
    app.register_error_handler(404, lambda _error: ("", 404))
    app.config["WTF_CSRF_ENABLED"] = False  # what the till asks by POST is asked here as well
    memory.keep_what_is_loaded()  # as the web server does
    with app.app_context():
        if _filled():
            migrate.upgrade(app)
        else:
            begun = time.perf_counter()
            demonstrate(app)
            multiply(mails)
            print(
                f"{mails:,} mails and what belongs to them: {time.perf_counter() - begun:.0f} s.", flush=True
            )
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _filled() -> bool:
    """Return True when there are more mails than the demonstration has."""
    if not inspect(db.engine).has_table("outbox_mail"):
        return False
    many = select(MAILS.c.id).where(MAILS.c.id > SMALL // 2).limit(1)
    return db.session.scalar(many) is not None


def _database(url: str, name: str) -> str:
    """Return the URL of a database, which is made unless it is there."""
    try:
        return create_database(url, name)
    except ProgrammingError:
        return make_url(url).set(database=name).render_as_string(hide_password=False)


Figures = dict[tuple[str, str], Cost]


def measure(app: Flask, pages: list[Address], only: Sequence[str], roles: Sequence[str]) -> Figures:
    """Return what each page costs each role, by role and address."""
    figures: Figures = {}
    with app.app_context():
        watch = Watch()
        db.session.execute(text("SELECT 1"))
        db.session.remove()
    for role, identity in people_of(app).items():
        if role not in roles:
            continue
        client = browser_of(app, identity)
        for address in pages:
            if only and not any(part in address[0] for part in only):
                continue
            cost = watch.ask(client, address)
            if cost is not None:
                figures[role, _name(address)] = cost
        print(f"{role}: {sum(1 for asked, _page in figures if asked == role)} pages.", flush=True)
    return figures


def _name(address: Address) -> str:
    where, posted = address
    return where if posted is None else f"{where} {posted['what']} {posted['text']}"


def show(app: Flask, small: Figures, large: Figures, *, everything: bool) -> None:
    """Print the table, dearest first, and the plans of what does not keep to the goal."""
    print(f"{'role':14}{'small':>8}{'large':>9}{'ratio':>7}{'statements':>12}{'kB':>7}  page")
    kept = 0
    explained: set[str] = set()
    for key, cost in sorted(large.items(), key=lambda entry: -entry[1].cpu_ms):
        before = small.get(key)
        if before is None:
            continue
        ratio = cost.cpu_ms / max(before.cpu_ms, NOTHING_MS)
        well = cost.cpu_ms <= GOAL_MS and ratio <= GOAL_RATIO
        kept += well
        if well and not everything:
            continue
        role, page = key
        print(
            f"{role:14}{before.cpu_ms:>8.1f}{cost.cpu_ms:>9.1f}{ratio:>7.1f}"
            f"{f'{before.statements} {cost.statements}':>12}{cost.octets // 1000:>7}  {page}"
        )
        statement, parameters = cost.slowest
        if not well and statement not in explained and cost.slowest_ms > GOAL_MS / 4:
            explained.add(statement)
            with app.app_context():
                print(
                    f"    {cost.slowest_ms:.0f} ms: {' '.join(statement.split())[-700:]} {str(parameters)[:200]}"
                )
                print(plan_of(statement, parameters))
    print(
        f"{kept} of {len(large)} keep to {GOAL_MS:.0f} ms and {GOAL_RATIO} times the small one.", flush=True
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, not on SQLite")
    parser.add_argument("--server", default="", help="URL of a PostgreSQL that keeps what was filled")
    parser.add_argument("--only", action="append", default=[], help="part of addresses that matter")
    parser.add_argument("--role", action="append", choices=ROLES, help="this one only")
    parser.add_argument("--all", action="store_true", help="also what keeps to the goal")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = options.server or None
        if options.postgres and url is None:
            url = stack.enter_context(postgres_server(folder / "postgres"))
        pages: list[Address] = []
        figures = []
        for mails in (SMALL, options.mails):
            kind = "postgres" if url else "sqlite"
            server = _database(url, f"growth_{mails}") if url else None
            with house(folder / f"{kind}-{mails}", mails, server) as app:
                pages = pages or _known_pages(app, folder / "pages.json")
                figures.append(measure(app, pages, options.only, options.role or ROLES))
                if len(figures) == 2:
                    show(app, figures[0], figures[1], everything=options.all)


if __name__ == "__main__":
    main()
