"""`python -m bench.live`: what open pages cost while nothing changes, and how soon they show what does.

A house as `envoi up` starts it; lists, documents and mails are opened, and stay open: this client does what their
script does (`static/live.js`). After a minute it says the CPU of web server, workers, scheduler, Redis and database,
without and with these pages, then sends documents and says when the pages had shown it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import html
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sqlalchemy import Engine, create_engine, text

from bench.promises import database_name
from core import clock
from core.demo import PASSWORD
from core.testing.services import RedisServer, postgres_server
from tests.journeys.house import House, running_house

LOGIN = "admin@demo.example.com"
CHANGES = 8
RUNS = 20  # batches that pages show
STEPS = 200
PIECE = re.compile(r'data-live="([^"]+)"\s+data-since="([^"]*)"[^>]*?hx-get="([^"]+)"', re.DOTALL)
BELL = "/outbox/alerts/bell"
BY_THE_CLOCK_SECONDS = 300.0  # the list looks again, whatever it is told
PAUSE_SECONDS = 0.4
PATIENCE_SECONDS = 3.0  # for a mail to be accepted, and for all pages to have shown it


class Connection:
    """A connection of a browser that is kept open, with the cookies of a session."""

    def __init__(self, url: str, cookies: dict[str, str]) -> None:
        self._host = urlsplit(url).netloc
        self._cookies = cookies
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, path: str, form: list[tuple[str, str]] | None = None, headers: Mapping[str, str] | None = None
    ) -> str:
        """Return the body of an answer, over a new connection where the server has closed one that stood idle."""
        try:
            return await self._ask(path, form, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._streams = None
            return await self._ask(path, form, headers)

    async def _ask(
        self, path: str, form: list[tuple[str, str]] | None = None, headers: Mapping[str, str] | None = None
    ) -> str:
        if self._streams is None:
            host, _, port = self._host.partition(":")
            self._streams = await asyncio.open_connection(host, int(port), limit=1 << 20)
        reader, writer = self._streams
        body = urlencode(form or []).encode()
        lines = {
            "Host": self._host,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "Referer": f"http://{self._host}/",
            "Content-Length": str(len(body)),
            **({"Content-Type": "application/x-www-form-urlencoded"} if form else {}),
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"{'POST' if form else 'GET'} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        found = message_from_bytes((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[2])
        for cookie in found.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        if found["Transfer-Encoding"] == "chunked":
            answer = b""
            while size := int(await reader.readline(), 16):
                answer += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            answer = await reader.readexactly(int(found["Content-Length"] or 0))
        if found["Connection"] == "close":
            writer.close()
            self._streams = None
        if form is None and found["Location"]:
            return await self.ask(found["Location"], None, headers)
        return answer.decode()


@dataclass
class Piece:
    """A piece of a page that is told of changes: the bell, and what the page is about."""

    topics: str
    since: str
    refresh: str


def pieces_in(page: str) -> list[Piece]:
    """Return the pieces of a page, or of an answer to one of them."""
    return [Piece(*map(html.unescape, found)) for found in PIECE.findall(page)]


@dataclass
class Page:
    """An open page.

    Attributes:
        shown: When each refresh of anything but the bell was asked for, and when it had come.
        asked: How many questions and refreshes it has sent.
    """

    connection: Connection
    path: str
    headers: dict[str, str]
    clocked: bool
    shown: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)
    asked: int = 0
    pieces: list[Piece] = field(default_factory=list)

    async def open(self) -> None:
        """Load the page."""
        self.pieces = pieces_in(await self.connection.ask(self.path))

    async def _refresh(self, piece: Piece) -> None:
        self.asked += 1
        begun = clock.now()
        found = pieces_in(await self.connection.ask(piece.refresh, None, self.headers))
        own = [one for one in found if one.refresh.partition("?")[0] == piece.refresh.partition("?")[0]]
        if own:
            piece.topics, piece.since, piece.refresh = own[0].topics, own[0].since, own[0].refresh
        if not piece.refresh.startswith(BELL):
            self.shown.append((begun, clock.now()))

    async def watch(self) -> None:
        """Ask as long as the page is open."""
        next_look = time.monotonic() + BY_THE_CLOCK_SECONDS
        while True:
            self.asked += 1
            form = [
                pair for piece in self.pieces for pair in (("since", piece.since), ("topics", piece.topics))
            ]
            said = json.loads(await self.connection.ask("/changes", form, self.headers))
            for piece in self.pieces:
                piece.since = said["now"]
            for position in said["fired"]:
                await self._refresh(self.pieces[position])
            if self.clocked and time.monotonic() > next_look:
                next_look = time.monotonic() + BY_THE_CLOCK_SECONDS
                await self._refresh(self.pieces[-1])
            await asyncio.sleep(PAUSE_SECONDS)


def cpu_of(pids: Iterable[int]) -> dict[str, float]:
    """Return the seconds of CPU of processes and all below them, by what they are called."""
    ticks = os.sysconf("SC_CLK_TCK")
    children: dict[int, list[int]] = {}
    seconds: dict[int, tuple[str, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
            words = (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        pid = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        name = (
            "database"
            if "postgres" in words
            else "redis"
            if "redis" in words or "valkey" in words
            else words.strip()
        )
        # With that of its children that have ended: PostgreSQL serves each connection by one.
        seconds[pid] = name, sum(map(int, fields[11:15])) / ticks
    found: dict[str, float] = {}
    open_pids = list(pids)
    while open_pids:
        pid = open_pids.pop()
        open_pids += children.get(pid, [])
        if pid in seconds:
            name, used = seconds[pid]
            found[name] = found.get(name, 0.0) + used
    return found


async def measure(pids: list[int], seconds: float) -> dict[str, float]:
    """Return the share of one core of each process over some seconds."""
    before, began = cpu_of(pids), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    after = cpu_of(pids)
    return {name: (used - before.get(name, 0.0)) / took for name, used in after.items()}


def show(title: str, shares: dict[str, float]) -> None:
    """Print shares of one core."""
    parts = ", ".join(f"{name} {share:.1%}" for name, share in sorted(shares.items()) if share >= 0.0005)
    print(f"{title}: {sum(shares.values()):.1%} of one core ({parts})", flush=True)


async def bench(house: House, engine: Engine, pids: list[int], count: int, seconds: float) -> None:
    """Open the pages, wait, change something, and say what was seen."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT d.number, d.id, c.name FROM core_document d JOIN core_company c ON c.id = d.company_id "
                "WHERE d.kind LIKE 'sales.%' AND d.number IS NOT NULL ORDER BY d.id"
            )
        ).all()
    for number, _document, company in rows[:4]:
        house.send(number, "--company", company)
    await asyncio.sleep(5)
    with engine.connect() as connection:
        mails = list(connection.scalars(text("SELECT id FROM outbox_mail ORDER BY id")))
    cookies: dict[str, str] = {}
    browser = Connection(house.url, cookies)
    form = {"login": LOGIN, "password": PASSWORD, "csrf_token": token_of(await browser.ask("/sign-in"))}
    await browser.ask("/sign-in", list(form.items()))
    token = token_of(await browser.ask("/outbox/mails"))
    headers = {"X-CSRFToken": token, "X-Quiet": "1", "HX-Request": "true"}
    documents = [f"/documents/{row.id}" for row in rows]
    shown = [f"/outbox/mails/{mail}" for mail in mails]
    runs = [f"/outbox/runs/{write_run(engine)}" for _ in range(RUNS)]
    # Half of them documents, a quarter lists, the rest mails and batches; and the queue, as administrators look at it.
    paths = [
        path
        for number in range(count)
        for path in (
            documents[2 * number % len(documents)],
            "/outbox/mails",
            documents[(2 * number + 1) % len(documents)],
            (shown if number % 2 else runs)[number % len(shown if number % 2 else runs)],
        )
    ]
    paths[min(count, len(paths)) - 1] = "/queue"
    show("no page open", await measure(pids, min(30.0, seconds)))
    pages: list[Page] = []
    watching = []
    for path in paths[:count]:
        pages.append(Page(Connection(house.url, cookies), path, headers, path == "/outbox/mails"))
        await pages[-1].open()
        watching.append(asyncio.create_task(pages[-1].watch()))
    assert all(len(each.pieces) > 1 for each in pages), {each.path for each in pages if len(each.pieces) < 2}
    await asyncio.sleep(5)
    asked = sum(each.asked for each in pages)
    show(f"{count} pages open for {seconds:.0f} s", await measure(pids, seconds))
    print(f"  {sum(each.asked for each in pages) - asked} requests in that time")
    await latencies(house, engine, pages, rows[0])
    await steps_of_a_run(engine, pages)
    if ended := [task for task in watching if task.done()]:
        ended[0].result()
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


def token_of(page: str) -> str:
    """Return the token that a page posts with."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found is not None
    return found[1]


async def latencies(house: House, engine: Engine, pages: list[Page], document: Iterable[object]) -> None:
    """Send a document again and again, and say after how long its own page had each step."""
    number, document_id, company = document
    page = next(each for each in pages if each.path == f"/documents/{document_id}")
    waited = []
    for _ in range(CHANGES):
        mail = await asyncio.to_thread(house.send, str(number), "--company", str(company))
        await asyncio.sleep(4)
        with engine.connect() as connection:
            settled = connection.scalar(
                text("SELECT max(at) FROM outbox_event WHERE mail_id = :mail AND verb = 'settle'"),
                {"mail": mail},
            )
        if settled is None:
            continue
        at = dt.datetime.fromisoformat(settled) if isinstance(settled, str) else settled
        at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
        after = [came for begun, came in page.shown if begun > at]
        waited.append((after[0] - at).total_seconds() if after else float("inf"))
    print(
        f"a mail was accepted, and the page of its document had shown it after {statistics.median(waited):.2f} s "
        f"(longest {max(waited):.2f} s, {len(waited)} times)",
        flush=True,
    )


def write_run(engine: Engine) -> int:
    """Write a batch as a row: a paused one, which the sweep leaves alone, and which a person may continue."""
    with engine.begin() as connection:
        return int(
            connection.scalar(
                text(
                    "INSERT INTO outbox_run (state, list_name, title, text_draft, by_user_id, company_id, "
                    "item_count, template_revision, paused_why, created_at, started_at, touched_at) "
                    "SELECT 'paused', 'sales.quotations', '', '', id, company_id, 3, 0, '', :now, :now, :now "
                    "FROM core_user WHERE login = :login RETURNING id"
                ),
                {"now": text_of(clock.now()), "login": LOGIN},
            )
            or 0
        )


def text_of(moment: dt.datetime) -> str:
    """Return a moment as the columns of either database take it."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")


async def steps_of_a_run(engine: Engine, pages: list[Page]) -> None:
    """Let a batch go on by steps, as a worker writes them, and say when its pages had shown each."""
    path = next(each.path for each in pages if "/runs/" in each.path)
    several = [each for each in pages if each.path == path]
    run_id, waited = int(path.rpartition("/")[2]), []
    for _ in range(CHANGES):
        at = clock.now()
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE outbox_run SET touched_at = :now WHERE id = :id"),
                {"now": text_of(at), "id": run_id},
            )
        await asyncio.sleep(PATIENCE_SECONDS)
        came = [[after for begun, after in each.shown if begun > at] for each in several]
        waited += [(after[0] - at).total_seconds() if after else float("inf") for after in came]
    print(
        f"a batch had done a step, and {len(several)} pages of it had shown it after {statistics.median(waited):.2f} s "
        f"(longest {max(waited):.2f} s, {CHANGES} times)",
        flush=True,
    )
    asked = sum(each.asked for each in pages)
    for number in range(STEPS):
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE outbox_run SET touched_at = :now WHERE id = :id"),
                {"now": text_of(clock.now()), "id": run_id},
            )
        await asyncio.sleep(10 / STEPS if number else 0)
    print(
        f"{STEPS} steps within ten seconds: {sum(each.asked for each in pages) - asked} requests of all pages"
    )


def main() -> int:
    """Run with one database."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--postgres", action="store_true", help="On PostgreSQL instead of SQLite.")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-live-")))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.stop)
        url = f"sqlite:///{folder / 'data' / 'envoi.db'}"
        if options.postgres:
            (folder / "postgres").mkdir()
            url = stack.enter_context(postgres_server(folder / "postgres"))
        house = stack.enter_context(running_house(folder, redis.url, ENVOI_DATABASE_URL=url))
        pids = [house.process.pid, *pids_of("redis-server", "valkey-server", port=urlsplit(redis.url).port)]
        if options.postgres:
            pids += pids_of("postgres", folder=folder / "postgres")
        print(
            f"{database_name(postgres=options.postgres)}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
        )
        asyncio.run(bench(house, create_engine(url), pids, options.pages, options.seconds))
    return 0


def pids_of(*names: str, port: int | None = None, folder: Path | None = None) -> list[int]:
    """Return the processes of a server that was started here: by its port, or its folder."""
    mark = str(port) if port is not None else str(folder)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and any(name in words for name in names):
            found.append(int(path.parent.name))
    return found[:1] if folder else found


if __name__ == "__main__":
    sys.exit(main())
