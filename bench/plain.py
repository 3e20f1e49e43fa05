"""The same work as most people would write it: RQ and Flask-Mail, a job for each mail, no promises."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from flask_mail import Mail, Message
from redis import Redis
from rq import Queue, SimpleWorker

from core.documents.pdf import html_to_pdf

HTML = "<p>Hello,</p><p>please find your <strong>document</strong> attached.</p>"
TEXT = "Hello,\n\nplease find your document attached.\n"


def make_app() -> Flask:
    app = Flask("plain")
    app.config.update(
        MAIL_SERVER="127.0.0.1", MAIL_PORT=int(os.environ["BENCH_SINK"]), MAIL_DEFAULT_SENDER="a@example.com"
    )
    Mail(app)
    return app


_apps: list[Flask] = []


def app_of_process() -> Flask:
    if not _apps:
        _apps.append(make_app())
    return _apps[0]


def send_file(number: int, path: str) -> None:
    """Send one mail with a ready PDF."""
    app = app_of_process()
    with app.app_context():
        message = Message("Your document", recipients=[f"n{number}@example.com"], body=TEXT, html=HTML)
        message.attach("document.pdf", "application/pdf", Path(path).read_bytes())
        with Mail.connect(_Sender(app)) as connection:
            connection.send(message)


class _Sender:
    """What `Mail.connect` needs of a Mail."""

    def __init__(self, app: Flask) -> None:
        self.app = app


def send_rendered(number: int, html_path: str) -> None:
    """Render one quotation by xhtml2pdf and send it."""
    app = app_of_process()
    with app.app_context():
        pdf = html_to_pdf(Path(html_path).read_text(encoding="utf-8"))
        message = Message("Your quotation", recipients=[f"n{number}@example.com"], body=TEXT, html=HTML)
        message.attach("quotation.pdf", "application/pdf", pdf)
        with Mail.connect(_Sender(app)) as connection:
            connection.send(message)


def work(redis_url: str, queue_name: str) -> None:
    """Empty the queue with a SimpleWorker, the application loaded once: RQ at its fastest."""
    connection = Redis.from_url(redis_url)
    app_of_process()
    SimpleWorker([Queue(queue_name, connection=connection)], connection=connection).work(
        burst=True, logging_level="WARNING"
    )
