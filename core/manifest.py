"""What core declares of itself, as a module does: menu, permissions, jobs, lists."""

from __future__ import annotations

from core import __version__
from core.contract import (
    JobSpec,
    MenuItem,
    Module,
    PartnerCriterion,
    Permission,
    Scope,
    SelectableList,
    SlotFill,
)
from core.i18n import N_

CORE = Module(
    name="core",
    version=__version__,
    title=N_("Platform"),
    package="core",
    models="core.models",
    blueprint="core.views:blueprint",
    cli="core.administration:commands",
    menu=(
        MenuItem(N_("Customers"), "core.partners", "core.partner.read", N_("Contacts"), 200),
        MenuItem(N_("Mailings"), "core.partner_lists", "core.partner.read", N_("Contacts"), 210),
        MenuItem(N_("Products"), "core.products", "core.product.edit", N_("Products"), 150),
        MenuItem(N_("Taxes"), "core.taxes", "core.product.edit", N_("Products"), 160),
        MenuItem(N_("Tax rules"), "core.tax_rules", "core.product.edit", N_("Products"), 165),
        MenuItem(N_("Payment terms"), "core.payment_terms", "core.product.edit", N_("Products"), 170),
        MenuItem(N_("Users"), "core.users", "core.user.edit", N_("Configuration"), 10),
        MenuItem(N_("Roles"), "core.roles", "core.user.edit", N_("Configuration"), 20),
        MenuItem(N_("Companies"), "core.companies", "core.company.edit", N_("Configuration"), 30),
        MenuItem(
            N_("Families, tags and codes"),
            "core.partner_labels",
            "core.company.edit",
            N_("Configuration"),
            40,
        ),
        MenuItem(N_("First steps"), "core.first_steps", "core.company.edit", N_("Configuration"), 45),
        MenuItem(N_("Modules"), "core.modules", "core.developer", N_("Configuration"), 900, technical=True),
        MenuItem(N_("Queue"), "core.queue", "core.developer", N_("Configuration"), 910, technical=True),
        MenuItem(
            N_("Encryption keys"), "core.keys", "core.developer", N_("Configuration"), 920, technical=True
        ),
    ),
    permissions=(
        Permission(
            "core.partner.read",
            N_("Read customers and contacts"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={
                "salesperson": Scope.COMPANY,
                "cashier": Scope.COMPANY,
                "support": Scope.COMPANY,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "core.partner.edit",
            N_("Edit customers and contacts"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"salesperson": Scope.COMPANY, "support": Scope.COMPANY, "administrator": Scope.ALL},
        ),
        Permission(
            "core.follower.edit",
            N_("Add and remove followers of documents"),
            granted={
                "salesperson": Scope.ALL,
                "cashier": Scope.ALL,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "core.product.edit",
            N_("Manage products, taxes and payment terms"),
            granted={"administrator": Scope.ALL},
        ),
        Permission("core.company.edit", N_("Manage companies"), granted={"administrator": Scope.ALL}),
        Permission("core.user.edit", N_("Manage users and roles"), granted={"administrator": Scope.ALL}),
        Permission("core.developer", N_("Use developer mode"), granted={"administrator": Scope.ALL}),
    ),
    jobs=(
        JobSpec("core.import_rows", "core.imports.service:work", timeout=1800),
        JobSpec("core.sweep_imports", "core.imports.service:sweep", timeout=300, every=60),
        JobSpec("core.index_partners", "core.partners.search_index:index_missing", timeout=600, every=600),
    ),
    lists=(
        SelectableList(
            "core.partners",
            N_("Customers"),
            "core.partner.read",
            "core.views.partners:partner_list",
            of="partner",
        ),
    ),
    criteria=tuple(
        PartnerCriterion(f"core.{name}", title, f"core.partners.lists.own_criteria:{name}", order=order)
        for order, (name, title) in enumerate(
            (
                ("family", N_("Family")),
                ("tag", N_("Tag")),
                ("country", N_("Country")),
                ("language", N_("Language")),
                ("fields", N_("Own filter by fields")),
                ("since", N_("Customer since")),
                ("consent", N_("Emails wanted")),
                ("function", N_("Contacts with function code")),
                ("saved", N_("Saved list")),
                ("everybody", N_("All customers")),
            ),
            start=10,
        )
    ),
    slots=(
        SlotFill("list.actions", "core.views.partner_lists:add_selected", order=150),
        SlotFill("shell.banner", "core.views.begin:banner", order=200),
    ),
    install="core.auth.service:install_roles",
    demo="core.demo:load",
    states="core.views.followed:STATES",
    shared={
        "core.product.edit": "Administrators manage what every company sells, its taxes and payment terms.",
        "core.company.edit": "Administrators manage every company.",
        "core.user.edit": "Administrators manage the users and roles of every company.",
    },
)
