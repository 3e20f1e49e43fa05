"""A mail server for trying Envoi out: it takes every mail, delivers none, and shows them in the browser."""

from core.contract import MenuItem, Module, Permission, Receiver, Scope
from core.i18n import N_

module = Module(
    name="playground",
    version="0.1.0",
    title=N_("Playground"),
    package="modules.playground",
    blueprint="modules.playground.views:blueprint",
    menu=(
        MenuItem(
            N_("Test mailbox"),
            "playground.messages",
            "playground.mail.read",
            N_("Playground"),
            800,
            # Where real servers send, nothing comes here.
            shown="modules.playground.mailbox:has_taken_mail",
        ),
    ),
    permissions=(
        Permission(
            "playground.mail.read",
            N_("Read one's own emails, and those one may read in the outbox, in the playground mailbox"),
            granted={
                "salesperson": Scope.ALL,
                "cashier": Scope.ALL,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "playground.mail.read_all",
            N_("Read everything in the playground mailbox, with links for passwords"),
            granted={"administrator": Scope.ALL},
        ),
        Permission(
            "playground.mail.delete",
            N_("Empty the playground mailbox"),
            granted={"support": Scope.ALL, "administrator": Scope.ALL},
        ),
    ),
    receivers=(Receiver("check_asked", "modules.playground.mailbox:problems"),),
    cli="modules.playground.cli:mailbox",
    processes=("mailbox",),
    migrations=False,
    # Above 1024, so that it needs no rights, and what test mailboxes usually listen on.
    config_defaults={"PLAYGROUND_SMTP_PORT": 2525},
    config_check="modules.playground.mailbox:settings_problems",
)
