"""`envoi vouchers`."""

from __future__ import annotations

import click
from sqlalchemy import select

from core.cli import echo_rows, with_app
from core.db import db
from envoi_toy.models import Voucher


@click.command()
@click.option("--json", "as_json", is_flag=True)
@with_app
def vouchers(as_json: bool) -> None:
    """List gift vouchers."""
    rows = [
        {"number": row.document.number, "worth": row.document.total, "expires_on": row.expires_on}
        for row in db.session.scalars(select(Voucher).order_by(Voucher.document_id))
    ]
    echo_rows(rows, as_json)
