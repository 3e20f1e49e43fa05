"""What attackers find: the fixtures of the parts that they go for."""

from tests.mail_config.accounts import account, provider, running, sophie  # noqa: F401 (fixtures)
from tests.outbox.conftest import lab, server  # noqa: F401 (a mail server)
from tests.pos.conftest import cashier, register, session  # noqa: F401 (a till, open, and who stands there)
