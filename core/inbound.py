"""`envoi inbound`: takes a message in that comes back; with `--explain`, says what would be made of it.

To explain needs no module, database or setting, and so none is loaded: whoever tries a thousand files waits for none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask_babel import Babel, gettext

from core.mail.bounces import Reading, read
from core.mail.bounces.parts import MAX_OCTETS
from core.mail.bounces.sentences import sentences
from core.mail.outcomes import printable

_STDIN = "-"
_LANGUAGE_VARIABLES = ("ENVOI_DEFAULT_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@click.command("inbound")
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--explain", is_flag=True, help="Say what each message is, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON, for scripts.")
@click.pass_context
def inbound(context: click.Context, files: tuple[str, ...], explain: bool, as_json: bool) -> None:
    """Take messages in that come back: bounces, receipts, complaints, automatic answers.

    FILES hold one message each; `-`, or none, is the standard input, as a mail server pipes it. Where one cannot be
    taken in now, the exit status is 75, upon which a mail server tries again.
    """
    if not explain:
        _take_in(files or (_STDIN,), context.obj)
        return
    named = files or (_STDIN,)
    with _speaking():
        failed = _print_json(named) if as_json else _print_sentences(named)
    if failed:
        sys.exit(1)


def _take_in(files: tuple[str, ...], take: Callable[[bytes], list[str]]) -> None:
    for name in files:
        # Whatever is wrong, the message must not be lost: any other status, and a mail server drops it.
        try:
            octets = _octets(name)
            for sentence in take(octets):
                click.echo(sentence)
        except Exception as error:  # noqa: BLE001 (see above)
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            click.echo(f"{printable(name)}: not taken in now ({reason}).", err=True)
            sys.exit(os.EX_TEMPFAIL)


def main() -> None:
    """Run the command by itself, without the application."""
    inbound.main(args=sys.argv[2:], prog_name="envoi inbound")


def as_plain_data(reading: Reading) -> dict[str, Any]:
    """Return a reading as scripts get it."""
    about = reading.about
    return {
        "nature": reading.nature.value,
        "reporting_mta": reading.reporting_mta,
        "recipients": [
            {
                "recipient": notice.recipient,
                "original_recipient": notice.original_recipient,
                "action": notice.action.value,
                "permanent": notice.permanent,
                "kind": notice.kind.value if notice.kind is not None else None,
                "advice": notice.failure.advice.value if notice.failure and notice.failure.advice else None,
                "status": notice.status,
                "reply_code": notice.reply_code or None,
                "diagnostic": notice.diagnostic,
                "remote_mta": notice.remote_mta,
                "retry_until": notice.retry_until,
            }
            for notice in reading.notices
        ],
        "about": {
            "message_ids": list(about.message_ids),
            "envelope_id": about.envelope_id,
            "sender": about.sender,
            "recipients": list(about.recipients),
            "subject": about.subject,
        },
        "addressed_to": list(reading.addressed_to),
        "back_on": reading.back_on.isoformat() if reading.back_on is not None else None,
        "complaint": reading.complaint,
        "truncated": reading.truncated,
    }


def _print_json(files: tuple[str, ...]) -> bool:
    """Print an array with an object for each file, each on a line of its own; ASCII only, so harmless anywhere."""
    failed = False
    click.echo("[", nl=False)
    for number, (name, reading, problem) in enumerate(_readings(files)):
        failed = failed or reading is None
        told = as_plain_data(reading) if reading is not None else {"error": problem}
        click.echo(("," if number else "") + "\n" + json.dumps({"file": name, **told}), nl=False)
    click.echo("\n]")
    return failed


def _print_sentences(files: tuple[str, ...]) -> bool:
    failed = False
    for number, (name, reading, problem) in enumerate(_readings(files)):
        if len(files) > 1:
            click.echo(("\n" if number else "") + printable(name))
        if reading is None:
            failed = True
            click.echo(problem, err=True)
            continue
        for line in sentences(reading):
            click.echo(printable(line))
    return failed


def _readings(files: tuple[str, ...]) -> Iterator[tuple[str, Reading | None, str]]:
    for name in files:
        try:
            yield name, read(_octets(name)), ""
        except OSError as error:
            yield (
                name,
                None,
                gettext("%(file)s cannot be read: %(reason)s", file=printable(name), reason=error.strerror),
            )


def _octets(name: str) -> bytes:
    # One more than is read shows that there is more.
    if name == _STDIN:
        return sys.stdin.buffer.read(MAX_OCTETS + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_OCTETS + 1)


def _speaking() -> Any:
    """Return the context in which sentences have a language: the one that is set for Envoi, else the terminal's."""
    app = Flask("core", root_path=str(Path(__file__).parent))
    spoken = next((value for name in _LANGUAGE_VARIABLES if (value := os.environ.get(name))), "")
    language = "fr" if spoken.lower().startswith("fr") else "en"
    Babel(app, default_locale=language)
    return app.app_context()
