"""A mail server, a company and mails as the tests of the outbox have them, and a Redis of each test's own."""

from tests.mail_config.accounts import account, provider, running, sophie  # noqa: F401 (fixtures)
from tests.outbox.conftest import lab, send, server
from tests.outbox.own_queue import app, hire, redis, settings

__all__ = ["app", "hire", "lab", "redis", "send", "server", "settings"]
