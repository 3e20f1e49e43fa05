"""The till: registers, sessions, tickets, and their receipts by mail."""

from core.contract import DocumentKind, MenuItem, Module, Permission, Receiver, Scope, SelectableList
from core.i18n import N_

_SECTION = N_("Till")

module = Module(
    name="pos",
    version="0.1.0",
    title=N_("Till"),
    package="modules.pos",
    models="modules.pos.models",
    blueprint="modules.pos.views:blueprint",
    menu=(
        MenuItem(N_("Tills"), "pos.registers", "pos.till.use", _SECTION, 42),
        MenuItem(N_("Receipts"), "pos.tickets", "pos.ticket.read", _SECTION, 44),
        MenuItem(N_("Sessions"), "pos.sessions", "pos.ticket.read", _SECTION, 46),
        MenuItem(N_("Payment methods"), "pos.methods", "pos.register.edit", _SECTION, 47),
        MenuItem(N_("Till settings"), "pos.settings", "pos.register.edit", _SECTION, 48),
    ),
    document_kinds=(
        DocumentKind(
            "pos.ticket", N_("Receipt"), "pos.ticket", "pos.ticket.read", "modules.pos.behavior:ticket"
        ),
    ),
    lists=(SelectableList("pos.tickets", N_("Receipts"), "pos.ticket.read", "modules.pos.tables:tickets"),),
    permissions=(
        Permission(
            "pos.till.use",
            N_("Sell at the till"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"cashier": Scope.COMPANY, "administrator": Scope.ALL},
        ),
        Permission(
            "pos.ticket.read",
            N_("Read receipts and sessions"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"cashier": Scope.COMPANY, "support": Scope.ALL, "administrator": Scope.ALL},
        ),
        Permission(
            "pos.register.edit",
            N_("Manage tills, payment methods and till settings"),
            granted={"administrator": Scope.ALL},
        ),
    ),
    receivers=(Receiver("company_currency_changing", "modules.pos.service.registers:keeps_currency"),),
    scripts=("till/leave.js",),
    demo="modules.pos.demo:load",
    shared={"pos.register.edit": "Administrators set up the tills and payment methods of every company."},
)
