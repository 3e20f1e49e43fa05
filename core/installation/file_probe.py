"""Whether this host reaches the file store of the installation, proved by what the other hosts have written there."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import suppress
from typing import Any, cast

from flask import Flask, current_app
from redis.exceptions import RedisError

from core import clock
from core.files import FileMissingError, FileStore, StoreError
from core.files.opening import establish
from core.i18n import gettext
from core.jobs import queue_for
from core.mail.outcomes import printable

logger = logging.getLogger(__name__)

VALID_SECONDS = 12 * 3600
"""For so long a host's word counts; its file is forgotten by the store a day after it was written."""


def problems() -> list[str]:
    """Write a file into the store, read those that other hosts have written, and return what is wrong in sentences.

    Each host leaves the SHA-256 of its file where all of them look: on the queue. A host whose folder is a copy of the
    store, and so bears its mark, is found by that.
    """
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    store: FileStore = app.extensions["envoi_files"]
    host, now = socket.gethostname(), clock.now()
    try:
        mark = establish(store)
        store.demand_mark()
        mine = store.put(f"{host} has reached the file store at {now.isoformat()}.\n".encode())
        store.get(mine)
    except (StoreError, FileMissingError) as error:
        return [str(error)]
    queue: Any = queue_for(app)
    key, found = f"envoi:{queue.name}:files:{mark}", []
    with suppress(RedisError, OSError, ValueError, TypeError, KeyError):
        for name, said in queue.connection.hgetall(key).items():
            other = json.loads(said)
            if abs(now.timestamp() - float(other["at"])) > VALID_SECONDS:
                continue
            try:
                store.get(str(other["sha256"]))
            except (StoreError, FileMissingError):
                found.append(
                    gettext(
                        "The host %(other)s has written a file that this one does not find in %(place)s: they do not "
                        "have the same file store (ENVOI_FILES).",
                        other=printable(name.decode()),
                        place=store.name,
                    )
                )
        # Under the place as well: two hosts may have the same name.
        said = json.dumps({"sha256": mine, "at": now.timestamp()})
        queue.connection.hset(key, f"{host} ({store.name})", said)
        queue.connection.expire(key, VALID_SECONDS)
    return found


def tell_problems() -> None:
    """Write into the log what is wrong, when a process starts; what needs the store waits for it."""
    for sentence in problems():
        logger.error("%s", sentence)
