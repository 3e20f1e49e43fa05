"""A whole house under fire: people who send many documents by its pages while web, workers and Redis are killed.

Used by the tests with a few dozen documents, and by `python -m bench.siege` with a thousand.
"""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar

from flask import Flask
from sqlalchemy import func, select, update

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.documents.models import Document
from core.embedded import free_port
from core.testing.fixtures import PASSWORD
from core.testing.services import RedisServer
from modules.outbox.about import documents_of
from modules.outbox.models import Alert, ItemState, OutgoingMail, Packing, Run, RunItem, RunState
from modules.outbox.runs import work
from modules.outbox.runs.counts import Counts, counts_of
from modules.outbox.states import WAITING, MailState
from tests.outbox.processes import WAIT_SECONDS, WatchedLab, Worker, acceptances, eventually, sweep

PARTS = ("worker", "worker", "web", "redis")
"""What is killed; a worker as often as the two others together."""
LANES = 8
"""Connections at once, so at most as many mails are in flight when a worker dies."""
HOLD_SECONDS = 15.0
"""Less than a worker waits for an answer."""
_TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')
_PDF_NAME = re.compile(rb'filename="Quotation_([^"]+)\.pdf"')
_ILL = {409, 500, 503}
"""What a house answers that misses one of its parts; a person tries again."""
_GONE = (OSError, http.client.HTTPException)


@dataclass
class Siege:
    """The processes of a house, and who kills them.

    Args:
        app: Of the test; its settings are those of the processes.
        hire: Starts one of them.
        redis: Their own Redis.
        lab: The SMTP server, whose record counts.
        chance: When, and which one.
    """

    app: Flask
    hire: Callable[..., Worker]
    redis: RedisServer
    lab: Hesitant
    chance: random.Random
    port: int = field(default_factory=free_port)
    kills: Counter[str] = field(default_factory=Counter)

    def begin(self, workers: int = 2) -> None:
        """Start the house."""
        self.workers = [self.hire() for _ in range(workers)]
        self._open()

    def _open(self) -> None:
        self.web = self.hire("web", PORT=self.port)
        eventually(self.answers, "the house answers")

    def answers(self) -> bool:
        """Return whether the web server is there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/sign-in", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self, part: str = "") -> None:
        """Kill one of the processes at a random moment, and start it again."""
        part = part or self.chance.choice(PARTS)
        time.sleep(self.chance.random() * 0.05)
        self.kills[part] += 1
        if part == "redis":
            self.redis.kill()
            self.redis.start()
        elif part == "web":
            self.web.kill()
            self.web.end_connections()
            self._open()
        else:
            place = self.chance.randrange(len(self.workers))
            self.workers[place].kill()
            self.workers[place].end_connections()
            self.workers[place] = self.hire()

    def look_after(self) -> None:
        """Do what the scheduler does, as if its minutes had passed."""
        with transaction() as session:
            session.execute(
                update(Run).where(Run.ended_at.is_(None)).values(touched_at=clock.now() - work.LOST_AFTER * 2)
            )
        sweep()

    def until(self, condition: Callable[[], object], what: str, *, kill_at: Sequence[int] = ()) -> None:
        """Wait for something, look after what has died meanwhile, and kill at some numbers of documents taken."""
        rest = sorted(kill_at)
        deadline, next_look = time.monotonic() + WAIT_SECONDS * 10, 0.0
        while not condition():
            assert time.monotonic() < deadline, f"In vain waited for: {what}"
            while rest and self.lab.documents_taken() >= rest[0]:
                del rest[0]
                self.kill()
            if time.monotonic() > next_look:
                self.look_after()
                next_look = time.monotonic() + 0.4
            time.sleep(0.01)


class Person:
    """Somebody at a browser: presses a button again when nothing has come of it."""

    def __init__(self, siege: Siege, user: User) -> None:
        self._siege, self.login, self.user_id = siege, user.login, user.id
        self._root = f"http://127.0.0.1:{siege.port}"
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.press("/sign-in", "/sign-in", login=user.login, password=PASSWORD)

    def see(self, path: str) -> str:
        """Return a page, however often the house dies over it."""

        def got() -> str:
            try:
                with self._browser.open(f"{self._root}{path}", timeout=60) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as error:
                if error.code not in _ILL:
                    raise
            except _GONE:
                pass
            return ""

        return str(eventually(got, f"the page {path}"))

    def press(self, page: str, action: str, *, dying: bool = False, **fields: str) -> str:
        """Press a button of a page once; return where it led, or "" where no answer came.

        Args:
            page: On which the button is.
            action: What it posts to.
            dying: True where the web server is killed while it answers.
            fields: What it posts.
        """
        token = _TOKEN.search(self.see(page))
        assert token is not None, page
        data = urllib.parse.urlencode({"csrf_token": token[1], **fields}).encode()
        here = {"Referer": f"{self._root}{page}"}
        request = urllib.request.Request(f"{self._root}{action}", data, here, method="POST")  # noqa: S310
        if not dying:
            return self._answer(request)
        said: list[str] = []
        finger = threading.Thread(target=lambda: said.append(self._answer(request)))
        finger.start()
        self._siege.kill("web")
        finger.join(WAIT_SECONDS)
        assert said, f"{action} was neither answered nor broken off"
        return said[0]

    def _answer(self, request: urllib.request.Request) -> str:
        try:
            with self._browser.open(request, timeout=60) as answer:
                return str(answer.url).removeprefix(self._root)
        except urllib.error.HTTPError as error:
            if error.code not in _ILL:
                raise
        except _GONE:
            pass
        return ""

    def prepare(self, count: int, *, dying: bool = False) -> int:
        """Select all quotations, press *Send by email…* until a whole run is there, and return its id."""
        deaths = [dying]

        def whole() -> int:
            led = self.press(
                "/sales/quotations",
                "/outbox/runs/of/sales.quotations",
                dying=bool(deaths) and deaths.pop(),
                all="1",
            )
            found = re.fullmatch(r"/outbox/runs/(\d+)", led)
            return int(found[1]) if found else 0

        run_id = int(eventually(whole, "a run is prepared"))
        unchecked = select(RunItem.id).where(RunItem.run_id == run_id, RunItem.state == ItemState.UNCHECKED)
        self._siege.until(lambda: _one(unchecked) is None, "all are looked through")
        assert counts(run_id).total == count
        return run_id

    def pack(self, run_id: int, count: int) -> None:
        """Choose one email per customer in a run, until that is chosen and all are looked through again."""
        page = f"/outbox/runs/{run_id}"

        def chosen() -> bool:
            self.press(page, f"{page}/packing", packing=Packing.TOGETHER.value)
            return _one(select(Run.packing).where(Run.id == run_id)) is Packing.TOGETHER

        eventually(chosen, f"run {run_id} packs")
        self._siege.until(lambda: counts(run_id).of("ready") == count, "all are looked through again")

    def act(self, run_id: int, action: str, states: set[RunState], *, dying: bool = False) -> None:
        """Press a button of a run until the run is in one of some states."""
        deaths = [dying]

        def done() -> bool:
            page = f"/outbox/runs/{run_id}"
            self.press(page, f"{page}/{action}", dying=bool(deaths) and deaths.pop())
            return state(run_id) in states

        eventually(done, f"{action} of run {run_id}")


def _one(query: object) -> object:
    db.session.rollback()
    found = db.session.scalar(query)  # type: ignore[call-overload]
    db.session.rollback()
    return found


def state(run_id: int) -> RunState:
    """Return the state of a run, as it is now."""
    found = _one(select(Run.state).where(Run.id == run_id))
    assert isinstance(found, RunState)
    return found


def counts(run_id: int) -> Counts:
    """Return the numbers of a run, as they are now."""
    db.session.rollback()
    found = counts_of(run_id)
    db.session.rollback()
    return found


def ended(*run_ids: int) -> bool:
    """Return whether runs have ended and nothing of them waits."""
    open_runs = select(Run.id).where(Run.id.in_(run_ids), Run.ended_at.is_(None)).limit(1)
    waiting = select(OutgoingMail.id).where(OutgoingMail.state.in_(sorted(WAITING))).limit(1)
    return _one(open_runs) is None and _one(waiting) is None


class Hesitant(WatchedLab):
    """The SMTP server, which takes no more than some documents until it is told to go on, or for as long as a client
    waits: so *Stop* is pressed while something is left, unless the machine is very busy.
    """

    def __init__(self) -> None:
        super().__init__(on_command=self._wait)
        self.most: int | None = None
        self.going_on = threading.Event()
        self._numbers: list[list[str]] = []
        self._reading = threading.Lock()

    def _wait(self, verb: str, _arg: str, stage: str) -> None:
        begins = verb == "MAIL" and stage == "before"
        if begins and self.most is not None and self.documents_taken() >= self.most:
            self.going_on.wait(HOLD_SECONDS)

    def numbers(self) -> list[list[str]]:
        """Return the numbers of the documents in each message that was taken, by the names of its files."""
        with self._reading:
            for taken in self.accepted[len(self._numbers) :]:
                self._numbers.append([number.decode() for number in _PDF_NAME.findall(taken.data)])
            return list(self._numbers)

    def took_several_together(self) -> bool:
        """Return whether a message was taken that carries several documents."""
        return any(len(some) > 1 for some in self.numbers())

    def documents_taken(self) -> int:
        """Return how many documents the messages carry that were taken."""
        return sum(map(len, self.numbers()))


def send_all_under_fire(siege: Siege, people: tuple[Person, Person], count: int, kills: int) -> list[int]:
    """Send all quotations twice over, stop, and begin again, while the house is shot at; return the runs.

    The first person prepares and starts while the web server dies, pauses and continues; all documents of a customer go
    in one mail. As soon as some have left, the second one sends the same, each document in a mail of its own. Both are
    stopped half way; then what has not gone is sent, again those of a customer together.
    """
    first, second = people
    here = siege.lab.documents_taken()
    # While the first half leaves, and while the second one does.
    some = [here + max(1, count * place // (kills + 1)) for place in range(1, kills + 1)]
    quarter, half = here + count // 4, here + count // 2
    siege.lab.most = half
    one = first.prepare(count, dying=True)
    first.pack(one, count)
    two = second.prepare(count)
    first.act(one, "start", {RunState.RUNNING, RunState.DONE}, dying=True)
    # Its PDFs are made before its mails are written: the second one would always be faster.
    siege.until(siege.lab.took_several_together, "documents of one customer have left together")
    second.act(two, "start", {RunState.RUNNING, RunState.DONE})
    siege.until(lambda: siege.lab.documents_taken() >= quarter, "a quarter has left", kill_at=some)
    first.act(one, "pause", {RunState.PAUSED, RunState.DONE})
    siege.kill("worker")
    first.act(one, "continue", {RunState.RUNNING, RunState.DONE})
    some = [number for number in some if number > siege.lab.documents_taken()]
    siege.until(lambda: siege.lab.documents_taken() >= half, "half has left", kill_at=some)
    first.act(one, "stop", {RunState.STOPPED, RunState.DONE})
    siege.kill("redis")
    second.act(two, "stop", {RunState.STOPPED, RunState.DONE})
    siege.lab.going_on.set()
    siege.until(lambda: ended(one, two), "both have stopped")
    three = first.prepare(count)
    if counts(three).of("ready"):
        first.act(three, "start", {RunState.RUNNING, RunState.DONE})
    some = [number for number in some if number > siege.lab.documents_taken()]
    last = [three] if state(three) is not RunState.DRAFT else []
    siege.until(lambda: ended(one, two, *last), "everything has gone", kill_at=some)
    return [one, two, three]


def broken_promises(siege: Siege, people: Sequence[Person], runs: Sequence[int]) -> list[str]:
    """Compare what pages and rows say with what the server has recorded."""
    problems = []
    taken = acceptances(siege.lab)
    problems += [f"{key} came {times} times" for key, times in taken.items() if times > 1]
    came = {message_id for message_id, _recipient in taken}
    db.session.rollback()
    mails = list(db.session.scalars(select(OutgoingMail).where(OutgoingMail.run_id.in_(runs))))
    known = {mail.message_id for mail in mails}
    problems += [f"{message_id} came, and nobody has sent it" for message_id in came - known]
    by_document: dict[str, list[OutgoingMail]] = defaultdict(list)
    for mail in mails:
        for document in documents_of(mail):
            by_document[document.number].append(mail)
        there = mail.message_id in came
        if mail.state is MailState.SENT and not there:
            problems.append(f"mail {mail.id} is called sent, and did not come")
        if there and mail.state not in {MailState.SENT, MailState.UNCERTAIN}:
            problems.append(f"mail {mail.id} came, and is called {mail.state}")
        if mail.state not in {MailState.SENT, MailState.UNCERTAIN, MailState.CANCELED}:
            problems.append(f"mail {mail.id} ends as {mail.state}")
    documents = db.session.scalars(select(Document.number)).all()
    copies = Counter(number for numbers in siege.lab.numbers() for number in numbers)
    for number in documents:
        states = [mail.state for mail in by_document[number]]
        counted = [one for one in states if one is not MailState.CANCELED]
        if len(counted) != 1:
            problems.append(f"document {number} has {[str(one) for one in states]}")
        if copies[number] != 1 and not (copies[number] == 0 and counted == [MailState.UNCERTAIN]):
            problems.append(f"document {number} came {copies[number]} times")
    for run_id in runs:
        problems += _false_counts(siege, people[0], run_id, len(documents))
    told = dict(
        db.session.execute(
            select(Alert.run_id, func.count()).where(Alert.run_id.in_(runs)).group_by(Alert.run_id)
        ).all()
    )
    problems += [
        f"the end of run {run_id} was told {times} times" for run_id, times in told.items() if times > 1
    ]
    db.session.rollback()
    return problems


def _false_counts(siege: Siege, person: Person, run_id: int, documents: int) -> list[str]:
    """Compare the numbers on the page of a run with its rows."""
    rows = counts(run_id)
    carried = select(func.sum(OutgoingMail.further_count + 1)).where(OutgoingMail.run_id == run_id)
    if rows.total != documents or rows.of("submitted") != (_one(carried) or 0):
        return [f"run {run_id} counts {rows}"]
    run = db.session.get_one(Run, run_id)
    if run.by_user_id != person.user_id:
        return []
    page = person.see(f"/outbox/runs/{run_id}/progress")
    found = re.search(r"(\d+) emails? (?:was|were) accepted", page)
    if (int(found[1]) if found else 0) != rows.accepted:
        return [f"the page of run {run_id} says {found and found[0]}, and {rows.accepted} were"]
    left = carried.where(OutgoingMail.state != MailState.CANCELED)
    told = re.search(r"(\d+) documents? in \d+ emails?\.", page)
    if run.packs and (int(told[1]) if told else 0) != (_one(left) or 0):
        return [f"the page of run {run_id} says {told and told[0]}"]
    return []
