"""What a worker leaves behind when it has ended."""

from __future__ import annotations

import contextlib
import gc

from flask import Flask
from redis import Redis

from core import worker
from core.jobs import queue_for


def connections(redis_url: str) -> set[str]:
    with contextlib.closing(Redis.from_url(redis_url)) as asking:
        mine = str(asking.client_id())
        return {client["id"] for client in asking.client_list()} - {mine}


def test_a_worker_that_ends_leaves_no_connection_to_the_queue(app_with_queue: Flask, redis_url: str) -> None:
    gc.collect()
    gc.disable()  # what nobody refers to any more is closed by Python, at some time
    try:
        queue_for(app_with_queue).connection.ping()  # the application's own stays
        before = connections(redis_url)
        worker.work(app_with_queue, burst=True)
        assert connections(redis_url) <= before
    finally:
        gc.enable()
