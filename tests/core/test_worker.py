"""What a worker leaves behind when it has ended; what runs beside the scheduler."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable

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


def test_what_modules_wait_for_runs_beside_the_scheduler_and_anew_after_a_fault(app, monkeypatch, caplog):
    begun, calls = threading.Event(), list[threading.Event]()

    def watch(_app: Flask, stopped: threading.Event) -> None:
        calls.append(stopped)
        if len(calls) == 1:
            raise RuntimeError("a fault of the module")
        begun.set()
        stopped.wait(60)

    def found(path: str) -> Callable[..., None]:
        assert path == "modules.outbox.inbound.waiting:wait_at_mailboxes"
        return watch

    monkeypatch.setattr(worker, "WATCH_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(worker, "resolve_function", found)
    with worker._watches(app):
        assert begun.wait(30)
        assert not calls[-1].is_set()
    assert len(calls) == 2
    assert calls[-1].is_set()
    assert "it is begun again" in caplog.text
