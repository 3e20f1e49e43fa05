"""`envoi key …`: the keys that encrypt passwords and tokens. No command ever shows a key."""

from __future__ import annotations

import sys

import click

from core import pulse, rotation
from core.cli import application, echo_rows, with_app
from core.errors import EnvoiError
from core.registry import current_settings


@click.group()
def key() -> None:
    """Look after the keys that encrypt passwords and tokens."""


@key.command("list")
@click.option("--json", "as_json", is_flag=True)
@with_app
def key_list(as_json: bool) -> None:
    """List the keys by name, and how much each has encrypted; never the keys themselves."""
    found = rotation.look()
    rows = [
        {
            "name": one.name,
            "made": f"{one.made:%Y-%m-%d %H:%M} UTC" if one.made else "-",
            "encrypts": "yes" if one == found.ring.newest else "",
            "values": found.counts[one.name],
        }
        for one in found.ring.keys
    ]
    missing: dict[str, int] = {}
    for unreadable in found.unreadable:
        name = unreadable.key or "unknown"
        missing[name] = missing.get(name, 0) + unreadable.count
    rows += [
        {"name": name, "made": "missing", "encrypts": "", "values": count} for name, count in missing.items()
    ]
    echo_rows(rows, as_json)


@key.command("rotate")
@click.option("--shared", is_flag=True, help="All hosts read the keys from this very file.")
def key_rotate(shared: bool) -> None:
    """Make a new key and encrypt everything under it, while everything runs; go on with what was not finished."""
    # Not by `with_app`, which would do all of it anew where somebody was faster: each step does so by itself.
    with application().app_context():
        _demand_one_place(shared=shared)
        found = rotation.rotate(click.echo)
        for unreadable in found.unreadable:
            click.echo(f"- {unreadable.sentence}", err=True)
        if found.behind:
            click.echo(f"- {found.behind} values are under an older key yet: call this again.", err=True)
        if apart := rotation.modules_apart():
            click.echo(f"- Not enabled, and left as they are: {', '.join(apart)}.", err=True)
        if found.unreadable or found.behind:
            sys.exit(1)
        click.echo(
            f"Everything is under {found.ring.newest.name}: {found.counts[found.ring.newest.name]} values. "
            "Back the keys up apart from the database. Former keys open former backups; "
            "`envoi key forget NAME` drops one."
        )


def _demand_one_place(*, shared: bool) -> None:
    settings = current_settings()
    others = pulse.other_hosts()
    if others and not shared and not settings.encryption_keys:
        raise EnvoiError(
            f"Processes run on other hosts as well ({', '.join(others)}). Where all of them read {settings.keys_file} "
            "(ENVOI_ENCRYPTION_KEYS_FILE), say --shared; else set ENVOI_ENCRYPTION_KEYS on all of them first."
        )


@key.command("forget")
@click.argument("name")
@with_app
def key_forget(name: str) -> None:
    """Drop the former key NAME, under which nothing is any more."""
    rotation.forget_key(name)
    click.echo(f"The key {name} is gone; backups from before need it, if you have kept it apart.")
