"""Workers that are killed while they write a mail into a folder: it lies there once at most, and stays uncertain."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from core import jobs
from core.companies.models import Company
from modules.mail_config.servers.service import save_server
from modules.outbox import service
from tests.outbox.conftest import draft, make_ready
from tests.outbox.own_queue import in_a_hurry  # noqa: F401 (a fixture)
from tests.outbox.processes import WAIT_SECONDS, Worker, settled, sweep_until, workforce

KILLED = """
import os, signal, sys
from core import cli
from modules.mail_config.transports import drop

link = drop.os.link

def killed(*arguments):
    if {behind}:
        link(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

drop.os.link = killed
sys.argv = ["envoi", "worker"]
cli.main()
"""


@pytest.fixture
def hire(app: Flask, company: Company, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    folder = tmp_path / "drop"
    folder.mkdir()
    app.config["MAIL_CONFIG_DROP_FOLDER"] = str(folder)
    make_ready(save_server(None, {"name": "Folder", "transport": "mail_config.drop"}, None))
    with workforce(app, tmp_path / "workers") as hire:
        yield lambda **how: hire(MAIL_CONFIG_DROP_FOLDER=str(folder), **how)


@pytest.mark.usefixtures("in_a_hurry")
def test_killed_before_and_behind_its_name_a_mail_is_uncertain_and_is_not_written_again(
    company: Company, tmp_path: Path, hire: Callable[..., Worker]
) -> None:
    ids = []
    for behind in (False, True):
        script = tmp_path / f"killed-{behind}.py"
        script.write_text(KILLED.replace("{behind}", str(behind)))
        ids.append(service.submit(draft(company, "you@example.com"), None).id)
        assert jobs.enqueue("outbox.deliver_mails", ids[-1:])
        assert hire(script=script).process.wait(WAIT_SECONDS) == -signal.SIGKILL
    hire()
    assert sweep_until(ids, settled, "both are settled") == ["uncertain", "uncertain"]
    assert len(list((tmp_path / "drop").glob("*.eml"))) == 1, "the one that had its name"
