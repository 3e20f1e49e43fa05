"""Documents are dated by the day of the company that issues them, wherever people and server are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core import clock
from modules.sales.service.lines import LineValues
from tests.pos.till import *  # noqa: F403 (fixtures)

LINES = [LineValues("Lamp", Decimal(1), Decimal(50))]


def _at(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    now = dt.datetime.fromisoformat(moment)
    monkeypatch.setattr(clock, "now", lambda: now)
