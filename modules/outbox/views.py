"""All pages of the outbox, and its pieces of others: importing this registers them with its blueprint."""

from modules.outbox import slots
from modules.outbox.alerts import views as alerts
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import views as compose
from modules.outbox.handed_over import views as handed_over
from modules.outbox.inbound import views as inbound
from modules.outbox.inbound.hooks import views as hooks
from modules.outbox.mail_list import views as mail_list
from modules.outbox.mail_page import views as mail_page
from modules.outbox.privacy import views as privacy
from modules.outbox.restored import views as restored
from modules.outbox.runs import views as runs
from modules.outbox.unsubscribe import views as unsubscribe

__all__ = [
    "alerts",
    "blueprint",
    "compose",
    "handed_over",
    "hooks",
    "inbound",
    "mail_list",
    "mail_page",
    "privacy",
    "restored",
    "runs",
    "slots",
    "unsubscribe",
]
