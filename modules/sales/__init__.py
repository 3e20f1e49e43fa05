"""Quotations, orders, invoices and credit notes."""

from core.contract import (
    DocumentKind,
    MenuItem,
    Module,
    PartnerCriterion,
    Permission,
    Scope,
    SelectableList,
    SlotFill,
)
from core.i18n import N_

_SCOPES = (Scope.OWN, Scope.COMPANY, Scope.ALL)
_SECTION = N_("Sales")

module = Module(
    name="sales",
    version="0.1.0",
    title=N_("Sales"),
    package="modules.sales",
    models="modules.sales.models",
    blueprint="modules.sales.views:blueprint",
    menu=(
        MenuItem(N_("Quotations"), "sales.quotations", "sales.document.read", _SECTION, 10),
        MenuItem(N_("Orders"), "sales.orders", "sales.document.read", _SECTION, 20),
        MenuItem(N_("Invoices"), "sales.invoices", "sales.document.read", _SECTION, 30),
        MenuItem(N_("Credit notes"), "sales.credit_notes", "sales.document.read", _SECTION, 40),
    ),
    document_kinds=(
        DocumentKind(
            "sales.quotation",
            N_("Quotation"),
            "sales.order",
            "sales.document.read",
            "modules.sales.behavior:quotation",
        ),
        DocumentKind(
            "sales.order", N_("Order"), "sales.order", "sales.document.read", "modules.sales.behavior:order"
        ),
        DocumentKind(
            "sales.invoice",
            N_("Invoice"),
            "sales.invoice",
            "sales.document.read",
            "modules.sales.behavior:invoice",
            billed=True,
        ),
        DocumentKind(
            "sales.credit_note",
            N_("Credit note"),
            "sales.invoice",
            "sales.document.read",
            "modules.sales.behavior:credit_note",
            billed=True,
        ),
    ),
    permissions=(
        Permission(
            "sales.document.read",
            N_("Read quotations, orders and invoices"),
            scopes=_SCOPES,
            granted={"salesperson": Scope.COMPANY, "support": Scope.ALL, "administrator": Scope.ALL},
        ),
        Permission(
            "sales.document.edit",
            N_("Write quotations, orders and invoices"),
            scopes=_SCOPES,
            granted={"salesperson": Scope.COMPANY, "administrator": Scope.ALL},
        ),
    ),
    lists=(
        SelectableList(
            "sales.quotations", N_("Quotations"), "sales.document.read", "modules.sales.tables:quotations"
        ),
        SelectableList("sales.orders", N_("Orders"), "sales.document.read", "modules.sales.tables:orders"),
        SelectableList(
            "sales.invoices", N_("Invoices"), "sales.document.read", "modules.sales.tables:invoices"
        ),
        SelectableList(
            "sales.credit_notes",
            N_("Credit notes"),
            "sales.document.read",
            "modules.sales.tables:credit_notes",
        ),
    ),
    criteria=(
        PartnerCriterion(
            "sales.bought", N_("Has bought"), "modules.sales.criteria:bought", "sales.document.read", 30
        ),
        PartnerCriterion(
            "sales.no_order_since",
            N_("No order since"),
            "modules.sales.criteria:no_order_since",
            "sales.document.read",
            31,
        ),
    ),
    slots=(SlotFill("list.actions", "modules.sales.views.many:list_actions", order=120),),
    demo="modules.sales.demo:load",
)
