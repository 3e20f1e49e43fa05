"""What there is to do on the first day, by core and by every module, and how far it is.

Whether a step is done is looked at, never set by a click: it is done when there is what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app
from sqlalchemy import func, select, update

from core.auth.models import User
from core.begin.models import FirstStep
from core.companies.service import companies_for
from core.db import db, transaction
from core.i18n import gettext, ngettext
from core.partners.models import Partner
from core.products.models import Product
from core.signals import first_steps_asked

MAY_BEGIN = "core.company.edit"
"""Who is shown the steps."""
LED = "begin"
"""In the cookie of whoever is in the midst of the steps: a bar above every page leads back to them."""


@dataclass(frozen=True, slots=True)
class StepLink:
    """A way to take a step.

    Attributes:
        title: What the button says.
        endpoint: Where it leads.
        where: Its arguments.
        post: True where it does something by itself, instead of leading to a page.
    """

    title: str
    endpoint: str
    where: Mapping[str, object] = field(default_factory=dict)
    post: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the first day, as the page shows it.

    Attributes:
        name: `<module>.<what>`.
        title: In the language of the reader.
        text: What it is for, in a sentence.
        done: Whether there is what it is for.
        links: Ways to take it, the usual one first; of one that is done, ways to what there is.
        told: What there is, or what is still missing of it; or "".
        order: Position, ascending; those of core are at 10, 30, 40 and 50.
    """

    name: str
    title: str
    text: str
    done: bool
    links: tuple[StepLink, ...]
    told: str = ""
    order: int = 100


def steps_for(user: User) -> list[Step]:
    """Return the steps that a user may take, in their order."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    answers = [found for _receiver, found in first_steps_asked.send(app, user=user)]
    found = [step for some in (_own(user), *answers) for step in some]
    return sorted(found, key=lambda step: step.order)


def _own(user: User) -> Iterable[Step]:
    companies = companies_for(user)
    yield Step(
        "core.company",
        gettext("Your company"),
        gettext(
            "Its name and address stand on every document; its country brings currency, taxes and formats."
        ),
        done=bool(companies),
        told=", ".join(company.name for company in companies),
        links=(
            StepLink(
                gettext("Logo, bank and legal lines"),
                "core.company_edit",
                {"company_id": companies[0].id},
            )
            if companies
            else StepLink(gettext("Set up the company"), "core.first_company"),
        ),
        order=10,
    )
    if user.can("core.user.edit"):
        others = db.session.scalar(select(func.count(User.id)).where(User.id != user.id)) or 0
        yield Step(
            "core.users",
            gettext("Your colleagues"),
            gettext("Invite them by email: each chooses a password by a link."),
            done=others > 0,
            told=ngettext("%(num)d colleague", "%(num)d colleagues", others) if others else "",
            links=(StepLink(gettext("Invite colleagues"), "core.users_invite"),),
            order=30,
        )
    if user.can("core.partner.edit"):
        # Whether there is any; how many is nobody's question here.
        known = db.session.scalar(select(Partner.id).limit(1)) is not None
        yield Step(
            "core.customers",
            gettext("Your customers"),
            gettext(
                "From a file of your former software or a spreadsheet, after a look at every row; or one by one."
            ),
            done=known,
            links=(
                StepLink(gettext("Import customers"), "core.partner_imports"),
                StepLink(gettext("New customer"), "core.partner_new"),
            ),
            order=40,
        )
    if user.can("core.product.edit"):
        known = db.session.scalar(select(Product.id).limit(1)) is not None
        yield Step(
            "core.products",
            gettext("Your products"),
            gettext("What you sell, with prices and taxes. Documents can be written without any."),
            done=known,
            links=(
                StepLink(gettext("Import products"), "core.product_imports"),
                StepLink(gettext("New product"), "core.product_new"),
            ),
            order=50,
        )


def lead(user: User) -> None:
    """Lead to every step from now on, inside the running transaction; `user` is who may take them."""
    with transaction() as session:
        for step in steps_for(user):
            session.merge(FirstStep(name=step.name, put_off=False))


def led_to() -> set[str]:
    """Return the names of the steps that were neither put off nor left to whoever looks for them."""
    return set(db.session.scalars(select(FirstStep.name).where(FirstStep.put_off.is_(False))))


def are_open(user: User) -> bool:
    """Return True while a user is to be led to the steps: one is open that was not put off.

    Who has no company is led there as well where the first administrator was made by the command line.
    """
    if not user.can(MAY_BEGIN):
        return False
    rows = db.session.scalars(select(FirstStep)).all()
    names = {row.name for row in rows if not row.put_off}
    if not rows and not companies_for(user):
        return True
    return bool(names) and any(step.name in names and not step.done for step in steps_for(user))


def put_off(name: str = "") -> None:
    """Lead nobody any more to a step, or to all of them; the page of the steps still shows what is missing."""
    with transaction() as session:
        some = FirstStep.name == name if name else FirstStep.name != ""
        session.execute(update(FirstStep).where(some).values(put_off=True))
