"""The others at the same work: plain RQ + Flask-Mail, and django-post_office."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

from redis import Redis
from rq import Queue

from bench.measure import Figure, Work, measured


def plain_side(name: str, redis_url: str, port: int, mails: int, function: str, argument: Path) -> Figure:
    queue_name = f"plain-{secrets.token_hex(4)}"
    queue = Queue(queue_name, connection=Redis.from_url(redis_url))
    queue.enqueue_many(
        [
            Queue.prepare_data(f"bench.plain.{function}", args=(number, str(argument)))
            for number in range(mails)
        ]
    )
    code = f"from bench.plain import work; work({redis_url!r}, {queue_name!r})"
    return measured(name, mails, port, Work([[sys.executable, "-c", code]], {"BENCH_SINK": str(port)}))


class PostOffice:
    """A project of django-post_office: a database, a folder, and its own command."""

    def __init__(self, folder: Path, database_url: str | None, port: int) -> None:
        folder.mkdir()
        self.port = port
        self.command = [sys.executable, "-m", "bench.post_office", str(folder), database_url or "", str(port)]

    def drain(self, name: str, mails: int, pdf: Path, tuning: dict[str, int], processes: int) -> Figure:
        """Write mails, let its command empty the queue, and see that all are called sent."""
        settings = ",".join(f"{setting}={value}" for setting, value in tuning.items())
        subprocess.run([*self.command, settings, "submit", str(mails), str(pdf)], check=True)
        command = [*self.command, settings, "drain", str(processes)]
        figure = measured(name, mails, self.port, Work([command], {}))
        subprocess.run([*self.command, settings, "check"], check=True)
        return figure
