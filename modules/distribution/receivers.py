"""What `envoi check` is told, and whoever removes files."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask
from flask_babel import gettext, ngettext
from sqlalchemy import func, select

from core.db import db
from core.partners.labels import LabelKind, PartnerLabel
from modules.distribution import archive
from modules.distribution.models import Dispatch, DispatchState, Print, Rule, Way


def problems(_app: Flask) -> list[str]:
    """Answer `core.signals.check_asked`: rules with codes that are gone, and an archive that is not there."""
    rules = list(db.session.scalars(select(Rule).where(Rule.active)))
    codes = set(db.session.scalars(select(PartnerLabel.code).where(PartnerLabel.kind == LabelKind.FUNCTION)))
    gone = sorted({code for rule in rules for code in rule.function_codes} - codes)
    found = [
        gettext("A distribution rule names the function code %(code)s, which there is not.", code=code)
        for code in gone
    ]
    if any(rule.archived or rule.archive_sent for rule in rules):
        found += [why] if (why := archive.problem()) else []
    waiting = db.session.scalar(
        select(func.count()).where(
            Dispatch.way == Way.ARCHIVE,
            (Dispatch.state == DispatchState.HELD)
            | ((Dispatch.state == DispatchState.DUE) & (Dispatch.detail != "")),
        )
    )
    if waiting:
        found.append(
            ngettext(
                "%(num)d PDF could not be written to the archive: Sales › Distribution says why.",
                "%(num)d PDFs could not be written to the archive: Sales › Distribution says why.",
                waiting,
            )
        )
    return found


def files_in_use(_app: Flask, *, hashes: Sequence[str]) -> set[str]:
    """Answer `core.signals.files_in_use_asked`: PDFs to be printed."""
    return set(db.session.scalars(select(Print.sha256).where(Print.sha256.in_(hashes))))
