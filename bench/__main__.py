"""`python -m bench`: what Envoi does in a second, beside django-post_office and plain RQ + Flask-Mail.

Every figure comes from one run on one machine, with the same SMTP sink and the same Redis, the contestants in
turns so that a noisy neighbor hits all of them. Trust the ratios and the CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.envoi import Installation
from bench.measure import Figure, median, show, show_head, sink
from bench.rivals import PostOffice, plain_side
from core.testing.services import postgres_server, redis_server

PDF = b"%PDF-1.4\n" + os.urandom(35_000)

# What django-post_office is given: as it comes (batches of 100 by 5 threads), and what it was fastest with of
# batches of 100, 1000 and 5000 by 1, 2 and 5 threads. Its log of sent mails stays on, as our record of attempts.
TUNINGS: dict[str, dict[str, int]] = {
    "defaults": {},
    "batches of 1000, 1 thread": {"BATCH_SIZE": 1000, "THREADS_PER_PROCESS": 1},
    "batches of 5000, 1 thread": {"BATCH_SIZE": 5000, "THREADS_PER_PROCESS": 1},
}
PROCESSES = (1, 2)

Contest = dict[str, Callable[[], Figure]]


def play(contest: Contest, rounds: int) -> dict[str, Figure]:
    """Let everybody work in turns and return the medians."""
    figures: dict[str, list[Figure]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, run in contest.items():
            figures[name].append(run())
    return {name: median(several) for name, several in figures.items()}


def drain(options: argparse.Namespace, folder: Path, redis_url: str, port: int, urls: dict[str, str]) -> None:
    """Compare everybody at mails with a ready PDF."""
    mails, pdf = options.mails, folder / "document.pdf"
    few = min(mails, 600)
    contest: Contest = {
        "plain RQ + Flask-Mail, 1 worker": partial(
            plain_side, "plain", redis_url, port, few, "send_file", pdf
        )
    }
    rivals: dict[str, list[str]] = {}
    for database, url in urls.items():
        office = PostOffice(folder / f"post_office {database}", url, port)
        installation = Installation(folder / f"Envoi {database}", redis_url, port, url)
        submit = partial(installation.submit_ready, pdf=PDF)
        for processes in PROCESSES:
            name = f"Envoi, {database}, {processes}"
            others = {f"post_office, {database}, {processes}, {title}": title for title in TUNINGS}
            for other, title in others.items():
                contest[other] = partial(office.drain, other, mails, pdf, TUNINGS[title], processes)
            contest[name] = partial(installation.drain, name, mails, submit, processes)
            rivals[name] = list(others)
    figures = play(contest, options.rounds)

    print(
        f"\nDraining {mails} mails with a ready PDF of 35 kB; the number after the database is that of processes"
    )
    show_head("against the fastest post_office with the same database and as many processes")
    for name, figure in figures.items():
        ratio = ""
        if name in rivals:
            best = max((figures[other] for other in rivals[name]), key=lambda other: other.rate)
            ratio = f"{figure.rate / best.rate:.2f}x mails/s, {best.cpu_ms / figure.cpu_ms:.2f}x less CPU"
        show(name, figure, ratio)


def send(options: argparse.Namespace, folder: Path, redis_url: str, port: int) -> None:
    """Compare the plain way with ours at quotations that are rendered."""
    count = options.quotations
    installation = Installation(folder / "quotations", redis_url, port, "")
    html = folder / "quotation.html"
    html.write_text(installation.quotation_html(), encoding="utf-8")
    plain = "plain RQ + Flask-Mail + xhtml2pdf, 1 worker"
    contest: Contest = {plain: partial(plain_side, plain, redis_url, port, count, "send_rendered", html)}
    for workers in PROCESSES:
        name = f"Envoi, SQLite, {workers}"
        contest[name] = partial(installation.drain, name, count, installation.submit_quotations, workers)
    figures = play(contest, 1)

    print(f"\nSending {count} quotations, each rendered to PDF")
    show_head("against plain")
    for name, figure in figures.items():
        show(name, figure, f"{figure.rate / figures[plain].rate:.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--quotations", type=int, default=120, help="0: leave them out.")
    parser.add_argument(
        "--rounds", type=int, default=3, help="Of the mails with a ready PDF; medians are shown."
    )
    parser.add_argument("--postgres", action="store_true", help="Measure on PostgreSQL as well.")
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(
        ", ".join(f"{name} {version(name)}" for name in ("django-post_office", "Django", "rq", "Flask-Mail"))
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-bench-")))
        (folder / "redis").mkdir()
        redis_url = stack.enter_context(redis_server(folder / "redis"))
        port = stack.enter_context(sink())
        urls = {"SQLite": ""}
        if options.postgres:
            (folder / "postgres").mkdir()
            urls["PostgreSQL"] = stack.enter_context(postgres_server(folder / "postgres"))
        (folder / "document.pdf").write_bytes(PDF)
        drain(options, folder, redis_url, port, urls)
        if options.quotations:
            send(options, folder, redis_url, port)


if __name__ == "__main__":
    main()
