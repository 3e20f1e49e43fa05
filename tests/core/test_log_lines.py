"""What the log of a process looks like: which line is about what, for people, programs and fail2ban."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from core import logs
from core.auth import throttle
from core.auth.models import User
from core.logs import Level, LogFormat

FILTER = Path(__file__).parents[2] / "docs" / "operating" / "fail2ban" / "envoi.conf"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[LogFormat], io.StringIO]]:
    """Return what a process writes to its standard error from now on."""
    root, names = logging.getLogger(), (None, *logs.OWN)
    before = root.handlers[:], {name: logging.getLogger(name).level for name in names}

    def begin(form: LogFormat, level: Level = Level.INFO) -> io.StringIO:
        monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
        logs.write(form, level)
        return stream

    yield begin
    root.handlers[:] = before[0]
    for name, level in before[1].items():
        logging.getLogger(name).setLevel(level)


def test_lines_name_request_and_mail_and_are_read_by_programs(app: Flask, written) -> None:
    stream = written(LogFormat.JSON)
    with logs.about(request="ab12"), logs.about(mail=7):
        logging.getLogger("core.anything").info("It was %s.", "so")
    logging.getLogger("library").info("Nobody asked.")
    try:
        int("Jeanne")
    except ValueError:
        logging.getLogger("library").exception("It broke.")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["request"], first["mail"], first["level"], first["message"]) == (
        "ab12",
        "7",
        "info",
        "It was so.",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", first["time"])
    assert "request" not in second
    assert "ValueError" in second["traceback"]
    assert "Jeanne'" not in stream.getvalue()


@pytest.mark.parametrize("form", LogFormat)
def test_refused_sign_ins_are_found_by_fail2ban_and_name_nobody(
    app: Flask, written, form: LogFormat, make_user: Callable[..., User]
) -> None:
    user, stream = make_user(), written(form)
    client: FlaskClient = app.test_client()
    answers = [
        client.post("/sign-in", data={"login": login, "password": "hunter2 hunter2"})
        for login in ("stranger@example.com", *[user.login] * (throttle.ATTEMPTS_PER_LOGIN + 1))
    ]
    lines = stream.getvalue().splitlines()
    (pattern,) = re.findall("failregex = (.*)", FILTER.read_text())
    found = re.compile(pattern.replace("<HOST>", r"(?P<host>\S+)"))
    hosts = [match["host"] for line in lines if (match := found.search(line))]
    assert hosts == ["127.0.0.1"] * (throttle.ATTEMPTS_PER_LOGIN + 2)
    assert "wrong (nobody here)" in lines[0]
    assert f"too many attempts (user {user.id})" in lines[-1]
    assert answers[-1].headers["X-Request-Id"] in lines[-1]
    assert "@example.com" not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_the_level_is_that_of_our_own_lines(written) -> None:
    stream = written(LogFormat.TEXT, Level.ERROR)
    logging.getLogger("modules.outbox").warning("not told")
    logging.getLogger("library").warning("nor this")
    logging.getLogger("modules.outbox").error("told")
    assert [line.partition(": ")[2] for line in stream.getvalue().splitlines()] == ["told"]
