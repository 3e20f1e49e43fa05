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
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.envoi import Installation
from bench.measure import Figure, median, show, show_head, sink
from bench.rivals import PostOffice, plain_side
from core.testing.services import postgres_server, redis_server

PDF = b"%PDF-1.4\n" + os.urandom(35_000)

# What django-post_office is given for a server on the same machine: as it comes (batches of 100 by 5 threads), and what
# it was fastest with of batches of 100, 1000 and 5000 by 1, 2 and 5 threads. Its log of sent mails stays on, as our
# record of attempts.
NEAR: dict[str, dict[str, int]] = {
    "defaults": {},
    "batches of 1000, 1 thread": {"BATCH_SIZE": 1000, "THREADS_PER_PROCESS": 1},
    "batches of 5000, 1 thread": {"BATCH_SIZE": 5000, "THREADS_PER_PROCESS": 1},
}
# And for one across a network, where a single thread would only wait.
FAR: dict[str, dict[str, int]] = {
    "defaults": {},
    "batches of 1000, 20 threads": {"BATCH_SIZE": 1000, "THREADS_PER_PROCESS": 20},
}
PROCESSES = (1, 2)
# A commit has reached the disk, as on SQLite with `synchronous=FULL`, for everybody.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
DELAYS_MS = (0, 40)
"""Of each answer of the server: on the same machine, and across a network."""
CONNECTIONS = (20, 5)
"""What Envoi opens at once, over all its processes: to a server of the house, and to one that nothing is known of."""

Contest = dict[str, Callable[[], Figure]]


def play(contest: Contest, rounds: int) -> dict[str, Figure]:
    """Let everybody work in turns and return the medians."""
    figures: dict[str, list[Figure]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, run in contest.items():
            figures[name].append(run())
    return {name: median(several) for name, several in figures.items()}


def drain(
    options: argparse.Namespace,
    folder: Path,
    redis_url: str,
    port: int,
    url: str,
    title: str,
    tunings: Mapping[str, dict[str, int]],
) -> None:
    """Compare everybody at mails with a ready PDF, with one database and one server."""
    mails, pdf = options.mails, folder / "document.pdf"
    contest: Contest = {}
    rivals: dict[str, list[str]] = {}
    office = PostOffice(folder / f"post_office {title}", url, port)
    installation = Installation(folder / f"Envoi {title}", redis_url, port, url)
    submit = partial(installation.submit_ready, pdf=PDF)
    for processes in PROCESSES:
        others = {f"post_office, {processes} process(es), {tuning}": tuning for tuning in tunings}
        for other, tuning in others.items():
            contest[other] = partial(office.drain, other, mails, pdf, tunings[tuning], processes)
        for connections in CONNECTIONS:
            name = f"Envoi, {processes} process(es), {connections} connections"
            contest[name] = partial(installation.drain, name, mails, submit, processes, connections)
            rivals[name] = list(others)
    figures = play(contest, options.rounds)

    print(f"\nDraining {mails} mails with a ready PDF of 35 kB: {title}")
    show_head("against the fastest post_office with as many processes")
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
    parser.add_argument(
        "--delays",
        type=int,
        nargs="*",
        default=DELAYS_MS,
        help="Milliseconds before each answer of the server.",
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
        (folder / "document.pdf").write_bytes(PDF)
        for delay in options.delays:
            port = stack.enter_context(sink(delay / 1000))
            urls = {"SQLite": ""}
            if options.postgres:
                cluster = folder / f"postgres {delay}"
                cluster.mkdir()
                urls["PostgreSQL"] = stack.enter_context(postgres_server(cluster, DURABLE))
            for database, url in urls.items():
                title = f"{database}, each answer after {delay} ms"
                drain(options, folder, redis_url, port, url, title, FAR if delay else NEAR)
        if options.quotations:
            send(options, folder, redis_url, stack.enter_context(sink()))


if __name__ == "__main__":
    main()
