"""Real servers for tests: Redis, PostgreSQL and an SMTP server that fails as it is told to.

Each stops by itself, listens on loopback alone and waits only for a bounded time.
"""

from core.testing.services.certificates import Certificate, make_certificate
from core.testing.services.limits import LOOPBACK, POLL_SECONDS, START_SECONDS, ServiceError
from core.testing.services.postgres import (
    PostgresServer,
    clone_database,
    create_database,
    drop_database,
    postgres_server,
)
from core.testing.services.redis import RedisServer, redis_server
from core.testing.services.smtp import Command, CommandHook, HookStage, Security, SmtpLab, Transaction

__all__ = [
    "LOOPBACK",
    "POLL_SECONDS",
    "START_SECONDS",
    "Certificate",
    "Command",
    "CommandHook",
    "HookStage",
    "PostgresServer",
    "RedisServer",
    "Security",
    "ServiceError",
    "SmtpLab",
    "Transaction",
    "clone_database",
    "create_database",
    "drop_database",
    "make_certificate",
    "postgres_server",
    "redis_server",
]
