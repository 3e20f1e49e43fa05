"""Mails are handed over to the program of the house."""

from core.contract import Module, TransportSpec
from core.i18n import N_

module = Module(
    name="sendmail",
    version="1.0.0",
    title=N_("Sendmail"),
    package="tests.mail_config.sendmail",
    depends=("mail_config",),
    transports=(
        TransportSpec(
            "sendmail.program", N_("Sendmail"), "tests.mail_config.sendmail.transport:open_program"
        ),
    ),
    migrations=False,
    translations=False,
    config_defaults={"SENDMAIL_PROGRAM": "/usr/sbin/sendmail"},
)
