"""Several people, or machines, who do something in the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask

from core.db import db

# Longer than whatever a busy machine may take; who waits for one another in vain fails.
WAIT_SECONDS = 90.0


def at_once(app: Flask, *actions: Callable[[], Any]) -> list[Any]:
    """Do several things in the same moment, each in a session of its own.

    Returns:
        What each has returned or raised, in the order in which they were given.
    """
    db.session.commit()
    start = threading.Barrier(len(actions))
    results: list[Any] = [TimeoutError("It has not come to an end.")] * len(actions)

    def act(number: int, action: Callable[[], Any]) -> None:
        with app.app_context():
            try:
                start.wait(WAIT_SECONDS)
                results[number] = action()
            except BaseException as error:  # noqa: BLE001 (the test looks at it)
                results[number] = error
            finally:
                db.session.remove()

    threads = [threading.Thread(target=act, args=item) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    db.session.expire_all()
    return results


def failures_at_once(app: Flask, *actions: Callable[[], Any]) -> list[BaseException]:
    """Do several things in the same moment, and return what was raised."""
    return [result for result in at_once(app, *actions) if isinstance(result, BaseException)]
