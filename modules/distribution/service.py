"""The verbs of rules: who may see and change them, save one, take one away."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, false, select
from sqlalchemy.orm import joinedload

from core.auth.models import User, user_company
from core.companies.models import Company
from core.contract import Scope
from core.db import db, transaction
from core.db.aside import one_by_one
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.reach import reachable
from modules.distribution.archive import check_pattern
from modules.distribution.models import Rule
from modules.distribution.permissions import EDIT, READ
from modules.distribution.sent_files import newest_step

LONGEST_GRACE = 7 * 24 * 60
"""Minutes for which a document can be stopped at most: a week."""


LONGEST_KEPT = 36_500
"""Days."""


@dataclass(frozen=True, slots=True)
class RuleValues:
    """The input of the form of a rule; names are those of the columns."""

    company_id: int
    kind: str = ""
    partner_id: int | None = None
    label_id: int | None = None
    on_paper: bool = False
    to_main: bool = False
    function_codes: list[str] = field(default_factory=list)
    archived: bool = False
    archive_folder: str = ""
    archive_name: str = ""
    archive_sent: bool = False
    archive_keep_days: int | None = None
    ask_first: bool = False
    automatic: bool = False
    grace_minutes: int = 15
    active: bool = True


def reached(user: User, permission: str) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Rule` to those of the companies that a permission reaches."""
    scope = user.scope(permission)
    if scope is None:
        return false()
    if scope is Scope.ALL:
        return Rule.id.is_not(None)
    return Rule.company_id.in_(select(user_company.c.company_id).where(user_company.c.user_id == user.id))


def rules_of(user: User) -> Select[Rule]:
    """Return the statement of the rules that the user may read; of customers whom they do not reach, none."""
    customer = select(Partner.id).where(Partner.id == Rule.partner_id, reachable(user)).correlate(Rule)
    theirs = Rule.partner_id.is_(None) | one_by_one(customer)
    return (
        select(Rule)
        .where(reached(user, READ), theirs)
        .options(joinedload(Rule.company), joinedload(Rule.partner), joinedload(Rule.label))
    )


def rule_for(user: User, rule_id: int, permission: str = READ) -> Rule | None:
    """Return a rule that a permission of the user reaches, or None."""
    return db.session.scalar(rules_of(user).where(Rule.id == rule_id, reached(user, permission)))


def companies_with(user: User, permission: str = EDIT) -> list[Company]:
    """Return the active companies whose rules a permission of the user reaches, by name."""
    scope = user.scope(permission)
    query = select(Company).where(Company.active).order_by(Company.name, Company.id)
    if scope is None:
        return []
    if scope is not Scope.ALL:
        query = query.where(
            Company.id.in_(select(user_company.c.company_id).where(user_company.c.user_id == user.id))
        )
    return list(db.session.scalars(query))


def save_rule(rule: Rule | None, values: RuleValues) -> Rule:
    """Create or change a rule.

    Raises:
        UserError: Nothing follows from it, it is for a customer and a family at once, another says the same of the same
            documents, or a name of the archive is not possible; its field is named.
    """
    if values.partner_id is not None and values.label_id is not None:
        raise UserError(_l("Choose a customer, or a family or tag, not both."), "label_id")
    archives = values.archived or values.archive_sent
    if not (values.on_paper or values.to_main or values.function_codes or archives):
        raise UserError(_l("Say at least one way: email, paper or archive."), "to_main")
    if not 0 <= values.grace_minutes <= LONGEST_GRACE:
        raise UserError(_l("Between 0 minutes and a week (10080)."), "grace_minutes")
    if values.archive_keep_days is not None and not 1 <= values.archive_keep_days <= LONGEST_KEPT:
        raise UserError(_l("Between 1 day and 100 years (36500)."), "archive_keep_days")
    folder = check_pattern(values.archive_folder, "archive_folder", folder=True)
    name = check_pattern(values.archive_name, "archive_name", folder=False)
    with transaction() as session:
        # Two who save at once wait for each other here, or the same would be said twice.
        session.get_one(Company, values.company_id, with_for_update=True)
        same = select(Rule.id).where(
            Rule.company_id == values.company_id,
            Rule.kind == values.kind,
            Rule.partner_id.is_not_distinct_from(values.partner_id),
            Rule.label_id.is_not_distinct_from(values.label_id),
            Rule.id != (rule.id if rule is not None else 0),
        )
        if session.scalar(same.limit(1)) is not None:
            raise UserError(_l("There is a rule for these documents and customers already."), "kind")
        rule = rule or Rule()
        for column in RuleValues.__dataclass_fields__:
            setattr(rule, column, getattr(values, column))
        rule.archive_folder, rule.archive_name = folder, name
        if not values.archive_sent:
            rule.archive_sent_after = None
        elif rule.archive_sent_after is None:
            rule.archive_sent_after = newest_step()  # what was sent before stays where it is
        session.add(rule)
        session.flush()
    return rule


def delete_rule(rule: Rule) -> None:
    """Take a rule away; what has gone by it stays in the history."""
    with transaction() as session:
        session.delete(rule)
