"""Checks that a template must pass to be saved: its texts, tried with made-up values, and its recipients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask_babel import force_locale, gettext
from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from core.documents.behavior import FieldValue
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import InvalidAddressError, one_line, parse_address
from core.mail.draft import RecipientField
from modules.mail_config.models import RecipientRule
from modules.mail_config.template_language import own_variables
from modules.mail_config.template_language.fields import (
    SAMPLE_CURRENCY,
    TemplateValue,
    empty_values,
    plain_catalogue,
    sample_values,
)
from modules.mail_config.template_language.linter import find_problems, try_out, used_fields
from modules.mail_config.template_language.own_variables import Variable
from modules.mail_config.template_language.problems import Problem
from modules.mail_config.template_language.tags import normalize

MAX_RECIPIENTS = 30  # rules of a template; whoever needs more writes to a list
_MAX_FUNCTION = 80
_MAX_SUBJECT = 500  # characters, as the column has
_MAX_PATTERN = 200  # characters of the pattern for file names


@dataclass(frozen=True, slots=True)
class RecipientChoice:
    """A default recipient as a person wants it.

    Attributes:
        rule: Who it is.
        field: To, Cc or Bcc.
        value: The function of the contacts, or `Name <address>`; "" for the other rules.
    """

    rule: RecipientRule
    field: RecipientField = RecipientField.TO
    value: str = ""


def check_in_detail(
    kind: str,
    texts: Mapping[str, tuple[str, str]],
    attachment_name: str,
    *,
    company_id: int | None = None,
    variables: Sequence[Variable] | None = None,
) -> list[Problem]:
    """Return what is wrong with the texts of a template, each thing at its place.

    Every formula is read, then tried with the values of a made-up document and with those of an empty one.

    Args:
        kind: Its document kind, whose catalogue says which fields there are.
        texts: Subject and body by language.
        attachment_name: Pattern of the PDF's file name.
        company_id: The company that it is for, whose variables it may use; None for all.
        variables: The variables of the kind, or None for those that are stored.
    """
    problems: list[Problem] = []
    known = _Known(kind, company_id, own_variables.stored(kind) if variables is None else variables)
    for language, (subject, body) in texts.items():
        if not subject.strip():
            problems.append(Problem(f"subject_{language}", gettext("A subject is needed.")))
        if len(subject) > _MAX_SUBJECT:
            problems.append(
                Problem(
                    f"subject_{language}",
                    gettext("The subject has at most %(most)s characters.", most=_MAX_SUBJECT),
                )
            )
        problems += known.problems_of(normalize(subject, is_html=False), f"subject_{language}", [language])
        problems += known.problems_of(normalize(body, is_html=True), f"body_{language}", [language])
    if len(attachment_name) > _MAX_PATTERN:
        sentence = gettext("The file name has at most %(most)s characters.", most=_MAX_PATTERN)
        problems.append(Problem("attachment_name", sentence))
    problems += known.problems_of(normalize(attachment_name, is_html=False), "attachment_name", list(texts))
    return problems


def check_template(
    kind: str,
    texts: Mapping[str, tuple[str, str]],
    attachment_name: str,
    *,
    company_id: int | None = None,
    variables: Sequence[Variable] | None = None,
) -> dict[str, list[str]]:
    """Return what is wrong, by form field (`subject_en`, `body_fr`, `attachment_name`); {} for nothing."""
    found: dict[str, list[str]] = {}
    for problem in check_in_detail(kind, texts, attachment_name, company_id=company_id, variables=variables):
        found.setdefault(problem.field, []).append(problem.sentence)
    return found


class _Known:
    """What the texts of a template may use: the fields of its kind, and the variables of its company."""

    def __init__(self, kind: str, company_id: int | None, variables: Sequence[Variable]) -> None:
        self._kind = kind
        self._variables = variables
        self._of_all = company_id is None
        self._counting = own_variables.that_count(variables, company_id)
        self._names = [
            *(spec.name for spec in plain_catalogue(kind)),
            *(variable.name for variable in self._counting.values()),
        ]

    def problems_of(self, source: str, field: str, languages: Sequence[str]) -> list[Problem]:
        """Return what is wrong with one text."""
        problems = find_problems(source, self._names, field=field)
        if not problems and self._of_all:
            problems = self._missing_somewhere(source, field)
        for language in languages if not problems else []:
            with force_locale(language):
                filled, empty = self._with_variables(sample_values), self._with_variables(empty_values)
            problems = try_out(
                source, filled, empty, currency=SAMPLE_CURRENCY, field=field, language=language
            )
            if problems:
                break
        return problems

    def _with_variables(self, make: Callable[[str], dict[str, FieldValue]]) -> dict[str, TemplateValue]:
        values = make(self._kind)
        group = own_variables.group_of(self._counting, values, currency=SAMPLE_CURRENCY)
        return {**values, own_variables.GROUP: group}

    def _missing_somewhere(self, source: str, field: str) -> list[Problem]:
        used = [name for name in sorted(used_fields(source)) if name.startswith(f"{own_variables.GROUP}.")]
        if not used:
            return []
        companies = list(db.session.scalars(select(Company.id).where(Company.active)))
        return [
            Problem(field, own_variables.not_in_all_companies(name))
            for name in used
            if own_variables.missing_in(name, self._variables, companies)
        ]


def checked_recipients(recipients: Sequence[RecipientChoice]) -> list[RecipientChoice]:
    """Return default recipients as they are stored, each once.

    Raises:
        UserError: An address or a function is missing or wrong; its field is `recipients`.
    """
    if len(recipients) > MAX_RECIPIENTS:
        raise UserError(_l("A template has at most %(most)s recipients.", most=MAX_RECIPIENTS), "recipients")
    return list(dict.fromkeys(_checked_recipient(choice) for choice in recipients))


def _checked_recipient(choice: RecipientChoice) -> RecipientChoice:
    value = one_line(choice.value)
    if choice.rule is RecipientRule.FIXED:
        if not value:
            raise UserError(_l("A fixed recipient needs an address."), "recipients")
        try:
            value = str(parse_address(value))
        except InvalidAddressError as error:
            raise UserError(error.message, "recipients") from error
        if len(value) > 254:
            raise UserError(_l("Name and address have at most %(most)s characters.", most=254), "recipients")
    elif choice.rule is RecipientRule.FUNCTION:
        if not value:
            raise UserError(_l("Say which function the contacts have."), "recipients")
        if len(value) > _MAX_FUNCTION:
            raise UserError(
                _l("A function has at most %(most)s characters.", most=_MAX_FUNCTION), "recipients"
            )
    else:
        value = ""
    return RecipientChoice(choice.rule, choice.field, value)
