"""`envoi server …` and `envoi domain …`."""

from __future__ import annotations

import sys

import click
from sqlalchemy import select

from core.cli import echo_json, echo_rows, with_app
from core.companies.models import Company
from core.db import db
from core.mail.outcomes import EXPLANATIONS, printable
from modules.mail_config.domains.check import check_domain
from modules.mail_config.servers import service
from modules.mail_config.servers.test_advice import sentences
from modules.mail_config.signing.keys import clean_domain


@click.group()
def server() -> None:
    """Look after mail servers."""


@server.command("list")
@click.option("--json", "as_json", is_flag=True)
@with_app
def server_list(as_json: bool) -> None:
    """List mail servers; passwords are never shown."""
    rows = [
        {
            "id": row.id,
            "name": row.name,
            "host": row.host,
            "port": row.port,
            "encryption": row.encryption.value,
            "from_filter": row.from_filter,
            "priority": row.priority,
            "active": row.active,
            "tested": row.ready,
        }
        for row in service.servers()
    ]
    echo_rows(rows, as_json)


@server.command("test")
@click.argument("name")
@click.argument("recipient")
@click.option("--from", "from_address", default=None, help="From; the first company's address when left out.")
@with_app
def server_test(name: str, recipient: str, from_address: str | None) -> None:
    """Test the server NAME (or id) by a real email to RECIPIENT."""
    row = service.find_server(name)
    company = db.session.scalar(select(Company).order_by(Company.id).limit(1))
    report = service.test_server(row, recipient, from_address or service.default_from(row.company or company))
    for line in report.transcript:
        click.echo(printable(line))
    if report.failure is not None:
        click.echo(
            f"\n{EXPLANATIONS[report.failure.kind].title}. {' '.join(sentences(report.failure))}", err=True
        )
        sys.exit(1)
    click.echo("\nThe server works.")


@click.group()
def domain() -> None:
    """Look whether emails from a domain are believed."""


@domain.command("check")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@with_app
def domain_check(name: str, as_json: bool) -> None:
    """Look up what receivers do about NAME: SPF, DKIM, DMARC, MX; status 1 where something is missing or wrong."""
    report = check_domain(clean_domain(name))
    if as_json:
        echo_json(
            [
                {
                    "topic": one.topic.value,
                    "about": one.about,
                    "verdict": one.verdict.value,
                    "sentences": one.sentences,
                    "there": one.there,
                    "publish": {"name": one.record.name, "type": "TXT", "value": one.record.text}
                    if one.record
                    else None,
                }
                for one in report.findings
            ]
        )
    else:
        for one in report.findings:
            click.echo(printable(f"{one.topic.value.upper()}  {one.about}  –  {one.word}"))
            for sentence in one.sentences:
                click.echo(printable(f"    {sentence}"))
            for text in one.there:
                click.echo(printable(f"    < {text}"))
            if one.record is not None:
                click.echo(printable(f"    > {one.record.zone_line}"))
    sys.exit(1 if report.troubles else 0)


commands = {"server": server, "domain": domain}
