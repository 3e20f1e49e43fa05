"""The end of what is run under fire: what was done, and whether every promise was kept."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask

from core import jobs

TOLD = 20  # of those that were broken


def database_name(*, postgres: bool) -> str:
    return "PostgreSQL" if postgres else "SQLite"


def verdict(app: Flask, problems: Sequence[str], *lines: str) -> int:
    """Print what was done and each promise that was broken, and return the exit code."""
    for line in lines:
        print(line)
    for problem in problems[:TOLD]:
        print(f"BROKEN: {problem}")
    print("Every promise was kept." if not problems else f"{len(problems)} promises were broken.")
    jobs.queue_for(app).connection.close()
    return 1 if problems else 0
