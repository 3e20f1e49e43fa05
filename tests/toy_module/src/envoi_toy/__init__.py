"""Gift vouchers."""

from core.contract import DocumentKind, JobSpec, MenuItem, Module, Permission, Scope, SlotFill
from core.i18n import N_

_REACH = (Scope.OWN, Scope.COMPANY, Scope.ALL)

module = Module(
    name="toy",
    version="1.2.0",
    title=N_("Gift vouchers"),
    package="envoi_toy",
    models="envoi_toy.models",
    blueprint="envoi_toy.views:blueprint",
    menu=(MenuItem(N_("Vouchers"), "toy.vouchers", "toy.voucher.read", N_("Gift vouchers"), 200),),
    document_kinds=(
        DocumentKind(
            "toy.voucher",
            N_("Gift voucher"),
            "toy.voucher",
            "toy.voucher.read",
            "envoi_toy.behavior:voucher",
        ),
    ),
    permissions=(
        Permission(
            "toy.voucher.read",
            N_("Read gift vouchers"),
            scopes=_REACH,
            granted={"salesperson": Scope.COMPANY, "support": Scope.ALL, "administrator": Scope.ALL},
        ),
        Permission(
            "toy.voucher.issue",
            N_("Issue gift vouchers"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"salesperson": Scope.COMPANY, "administrator": Scope.ALL},
        ),
    ),
    jobs=(JobSpec("toy.expire", "envoi_toy.jobs:expire", timeout=60, every=3600),),
    slots=(SlotFill("partner.aside", "envoi_toy.slots:partner_vouchers", order=80),),
    styles=("vouchers.css",),
    demo="envoi_toy.service:demo",
    cli="envoi_toy.cli:vouchers",
    config_defaults={"TOY_VALID_DAYS": 365},
)
