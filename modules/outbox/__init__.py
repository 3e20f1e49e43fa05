"""Outgoing mail: the composer, the queue, outcomes, failures, resending."""

from core.contract import (
    DocumentFilter,
    JobSpec,
    MenuItem,
    Module,
    Permission,
    Receiver,
    Scope,
    SelectableList,
    SlotFill,
)
from core.i18n import N_

_REACH = (Scope.OWN, Scope.COMPANY, Scope.ALL)

module = Module(
    name="outbox",
    version="0.1.0",
    title=N_("Outbox"),
    package="modules.outbox",
    depends=("mail_config",),
    models="modules.outbox.models",
    blueprint="modules.outbox.views:blueprint",
    menu=(
        MenuItem(N_("Emails"), "outbox.mails", "outbox.mail.read", N_("Outbox"), 110),
        MenuItem(N_("Batches"), "outbox.runs", "outbox.mail.read", N_("Outbox"), 112),
        MenuItem(
            N_("Email log"),
            "outbox.technical_mails",
            "outbox.mail.inspect",
            N_("Configuration"),
            60,
            technical=True,
        ),
        MenuItem(
            N_("Incoming email"),
            "outbox.mailboxes",
            "outbox.inbound.manage",
            N_("Configuration"),
            55,
            technical=True,
        ),
        MenuItem(
            N_("After a restore"),
            "outbox.restored",
            "outbox.restored.decide",
            N_("Configuration"),
            75,
            technical=True,
        ),
        MenuItem(
            N_("Personal data"),
            "outbox.personal",
            "outbox.personal.manage",
            N_("Configuration"),
            70,
            technical=True,
        ),
    ),
    permissions=(
        Permission(
            "outbox.mail.read",
            N_("Read sent emails and the reasons for failures"),
            scopes=_REACH,
            granted={
                "salesperson": Scope.OWN,
                "cashier": Scope.OWN,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "outbox.mail.send",
            N_("Send documents by email"),
            scopes=_REACH,
            granted={
                "salesperson": Scope.COMPANY,
                "cashier": Scope.COMPANY,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "outbox.mail.resend",
            N_("Correct, resend and cancel emails"),
            scopes=_REACH,
            granted={
                "salesperson": Scope.OWN,
                "cashier": Scope.OWN,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "outbox.mail.inspect",
            N_("Read the dialogue with mail servers"),
            granted={"support": Scope.ALL, "administrator": Scope.ALL},
        ),
        Permission(
            "outbox.inbound.manage",
            N_("Set up the mailboxes that bounces come to"),
            granted={"administrator": Scope.ALL},
        ),
        Permission(
            "outbox.personal.manage",
            N_("Export and erase what is known about an address"),
            granted={"administrator": Scope.ALL},
        ),
        Permission(
            "outbox.restored.decide",
            N_("Decide which emails leave after a restored backup"),
            granted={"administrator": Scope.ALL},
        ),
    ),
    jobs=(
        JobSpec("outbox.deliver_mails", "modules.outbox.delivery.jobs:deliver_mails", timeout=1800),
        JobSpec("outbox.release_mails", "modules.outbox.delivery.jobs:release_mails", timeout=1800),
        JobSpec("outbox.sweep", "modules.outbox.mail_list.jobs:sweep", timeout=300, every=15),
        JobSpec("outbox.bulk", "modules.outbox.mail_list.jobs:bulk", timeout=1800),
        JobSpec("outbox.run", "modules.outbox.runs.jobs:run", timeout=1800),
        JobSpec("outbox.mail_alerts", "modules.outbox.alerts.jobs:mail_alerts", timeout=300, every=60),
        JobSpec(
            "outbox.tell_held_back",
            "modules.outbox.alerts.jobs:tell_held_back",
            timeout=300,
            every=60,
            without_worker=True,  # that there is none is what it tells
        ),
        JobSpec("outbox.keep_copies", "modules.outbox.sent_copies.jobs:keep", timeout=600, every=60),
        JobSpec("outbox.inbound", "modules.outbox.inbound.jobs:inbound", timeout=300, every=60),
        JobSpec("outbox.retention", "modules.outbox.privacy.jobs:retention", timeout=600, every=3600),
    ),
    receivers=(
        Receiver("account_mail_wanted", "modules.outbox.receivers:account_mail_wanted"),
        Receiver("captured_mails_asked", "modules.outbox.receivers:captured_mails_asked"),
        Receiver("check_asked", "modules.outbox.standstill:problems"),
        Receiver("check_asked", "modules.outbox.inbound.failing:problems"),
        Receiver("document_mail_wanted", "modules.outbox.receivers:mail_wanted"),
        Receiver("mail_routes_changed", "modules.outbox.delivery.sweep:release_waiting"),
        Receiver("inbound_message", "modules.outbox.inbound.intake:message_came"),
        Receiver("mail_server_ready", "modules.outbox.delivery.sweep:release_waiting"),
        Receiver("mail_server_ready", "modules.outbox.alerts.service:server_ready"),
        Receiver("mail_server_paused", "modules.outbox.alerts.service:server_paused"),
        Receiver("metrics_asked", "modules.outbox.figures:metrics"),
    ),
    scripts=("compose/composer.js",),
    styles=("mail_page/mail.css", "alerts/alerts.css", "compose/composer.css"),
    document_filters=(
        DocumentFilter(
            "outbox.not_sent",
            N_("Not sent"),
            "modules.outbox.document_filters:not_sent",
            "outbox.mail.read",
            "outbox",
            10,
        ),
        DocumentFilter(
            "outbox.failed",
            N_("Email failed"),
            "modules.outbox.document_filters:failed",
            "outbox.mail.read",
            "outbox",
            20,
            "modules.outbox.document_filters:among_failed",
        ),
        DocumentFilter(
            "outbox.waiting",
            N_("Email waiting"),
            "modules.outbox.document_filters:waiting",
            "outbox.mail.read",
            "outbox",
            30,
            "modules.outbox.document_filters:among_waiting",
        ),
    ),
    lists=(
        SelectableList(
            "outbox.mails",
            N_("Emails"),
            "outbox.mail.read",
            "modules.outbox.mail_list.tables:mails",
            of="mail",
        ),
    ),
    slots=(
        SlotFill("document.actions", "modules.outbox.slots:send_button"),
        SlotFill("document.actions", "modules.outbox.slots:hand_over_button", order=110),
        SlotFill("list.actions", "modules.outbox.slots:send_selected", order=10),
        SlotFill("list.actions", "modules.outbox.slots:hand_over_selected", order=20),
        SlotFill("document.status", "modules.outbox.slots:document_badge"),
        SlotFill("document.list_status", "modules.outbox.slots:document_list_badge"),
        SlotFill("document.aside", "modules.outbox.slots:document_panel", order=50),
        SlotFill("partner.aside", "modules.outbox.slots:partner_panel", order=50),
        SlotFill("partner_list.actions", "modules.outbox.slots:mail_list"),
        SlotFill("shell.bar", "modules.outbox.alerts.bell:failure_bell"),
        SlotFill("shell.banner", "modules.outbox.restored.views:banner"),
        SlotFill("mail_config.server_aside", "modules.outbox.slots:waiting_mails"),
        SlotFill("mail_config.template_actions", "modules.outbox.slots:template_test_button"),
        SlotFill("mail_config.template_recipients", "modules.outbox.slots:template_recipients"),
    ),
    demo="modules.outbox.demo:load",
    cli="modules.outbox.cli.commands:commands",
    watches=("modules.outbox.inbound.waiting:wait_at_mailboxes",),
    shared={
        "outbox.mail.inspect": "Whoever reads the dialogue with servers looks after the servers of every company.",
        "outbox.restored.decide": "The database is restored for every company at once.",
        "outbox.inbound.manage": "A mailbox takes what comes back for every company.",
        "outbox.run_mailing": "A customer that is everybody's stands in everybody's list, and may be selected there.",
        "outbox.personal.manage": "What is known about an address is told and erased wherever it stands.",
    },
    config_defaults={
        "OUTBOX_ATTACHMENTS_MB": 25.0,  # in the message, in base64: what most providers take
        "OUTBOX_KEEP_DAYS": 0,  # text and files of settled mails are kept; 0 for ever
        # Seconds after which a worker that says nothing is taken for dead; shorter, and a busy disk looks like death.
        "OUTBOX_LEASE_SECONDS": 120.0,
        "OUTBOX_RETRY_MINUTES": "1, 5, 15, 60, 180, 360, 720, 1440",  # the last one repeats
        "OUTBOX_GIVE_UP_DAYS": 4.0,  # RFC 5321, section 4.5.4.1: four to five days
        # For each answer of a server. RFC 5321 §4.5.3.2 allows up to ten minutes; a run of mails cannot wait as long.
        "OUTBOX_SMTP_TIMEOUT_SECONDS": 60.0,
        "OUTBOX_PRIVATE_KEEP_DAYS": 7,  # after which the address of a private mail that failed is erased
        "OUTBOX_TELL_HELD_MINUTES": 60.0,  # after which those who want it are told of mails held back; 0: never
        "OUTBOX_UNDO_SECONDS": 10.0,  # Send can be taken back for so long; less than 1 for not at all
    },
    config_check="modules.outbox.states:problems_of_retries",
    changes="modules.outbox.changes:SOURCES",
    states="modules.outbox.changes:STATES",
)
