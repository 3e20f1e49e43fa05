"""Several people who do something in the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import Flask

from core.db import db


def at_once(app: Flask, *verbs: Callable[[], object]) -> list[BaseException]:
    """Do several things in the same moment, each in a session of its own; return what was raised."""
    db.session.commit()
    start = threading.Barrier(len(verbs))
    raised: list[BaseException] = []

    def run(verb: Callable[[], object]) -> None:
        with app.app_context():
            try:
                start.wait()
                verb()
            except BaseException as error:  # noqa: BLE001 (shown by the test)
                raised.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.expire_all()
    return raised
