"""Figures of mail servers for whoever watches the installation."""

from __future__ import annotations

from sqlalchemy import func, select

from core.db import db
from core.metrics import Metric
from modules.mail_config.models import MailServer, ServerHealth


def metrics(_sender: object) -> list[Metric]:
    """Answer `core.signals.metrics_asked`: how many servers there are, and how many are paused by their breaker."""
    active, paused = db.session.execute(
        select(
            select(func.count()).select_from(MailServer).where(MailServer.active).scalar_subquery(),
            select(func.count())
            .select_from(ServerHealth)
            .where(ServerHealth.open_since.is_not(None))
            .scalar_subquery(),
        )
    ).one()
    return [
        Metric("envoi_servers", "Mail servers that are in use.", {"": active}),
        Metric(
            "envoi_servers_paused",
            "Mail servers paused since they have failed again and again.",
            {"": paused},
        ),
    ]
