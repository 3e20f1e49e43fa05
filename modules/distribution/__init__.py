"""How documents reach their customers: rules, what goes by them, paper, the archive, and the history of all of it."""

from core.contract import JobSpec, MenuItem, Module, Permission, Receiver, Scope, SelectableList, SlotFill
from core.i18n import N_

_SECTION = N_("Sales")

module = Module(
    name="distribution",
    version="0.1.0",
    title=N_("Distribution"),
    package="modules.distribution",
    depends=("outbox",),
    models="modules.distribution.models",
    blueprint="modules.distribution.views:blueprint",
    menu=(
        MenuItem(
            N_("Distribution"), "distribution.history", "distribution.document.distribute", _SECTION, 70
        ),
        MenuItem(
            N_("To be printed"), "distribution.to_print", "distribution.document.distribute", _SECTION, 75
        ),
        MenuItem(N_("Distribution rules"), "distribution.rules", "distribution.rule.read", _SECTION, 80),
    ),
    permissions=(
        Permission(
            "distribution.rule.read",
            N_("Read the rules of distribution"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"salesperson": Scope.COMPANY, "support": Scope.ALL, "administrator": Scope.ALL},
        ),
        Permission(
            "distribution.rule.edit",
            N_("Set the rules of distribution"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"administrator": Scope.ALL},
        ),
        Permission(
            "distribution.document.distribute",
            N_("Distribute, print and archive documents"),
            scopes=(Scope.OWN, Scope.COMPANY, Scope.ALL),
            granted={"salesperson": Scope.COMPANY, "support": Scope.ALL, "administrator": Scope.ALL},
        ),
    ),
    jobs=(
        JobSpec("distribution.go", "modules.distribution.jobs:go", timeout=1800, every=15),
        JobSpec("distribution.print", "modules.distribution.jobs:make_print", timeout=3600),
        JobSpec("distribution.retention", "modules.distribution.jobs:forget_old", timeout=300, every=3600),
    ),
    receivers=(
        Receiver("document_distribution_asked", "modules.distribution.decisions:wishes_for"),
        Receiver("document_issued", "modules.distribution.dispatches:issued"),
        Receiver("check_asked", "modules.distribution.receivers:problems"),
        Receiver("files_in_use_asked", "modules.distribution.receivers:files_in_use"),
    ),
    lists=(
        SelectableList(
            "distribution.to_print",
            N_("To be printed"),
            "distribution.document.distribute",
            "modules.distribution.tables:to_print",
        ),
    ),
    slots=(
        SlotFill("list.actions", "modules.distribution.slots:list_actions", order=20),
        SlotFill("document.aside", "modules.distribution.slots:document_panel", order=55),
        SlotFill("partner.aside", "modules.distribution.slots:partner_panel", order=40),
    ),
    demo="modules.distribution.demo:load",
    states="modules.distribution.followed:STATES",
    config_defaults={
        "DISTRIBUTION_ARCHIVE_DIR": "",  # below it documents are archived; empty for no archive
    },
    config_check="modules.distribution.archive:settings_problems",
)
