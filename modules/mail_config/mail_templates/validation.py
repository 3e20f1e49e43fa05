"""Checks that a template must pass to be saved: its texts, tried with made-up values, and its recipients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import force_locale, gettext

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import InvalidAddressError, one_line, parse_address
from core.mail.draft import RecipientField
from modules.mail_config.models import RecipientRule
from modules.mail_config.template_language.fields import (
    SAMPLE_CURRENCY,
    catalogue,
    empty_values,
    sample_values,
)
from modules.mail_config.template_language.linter import find_problems, try_out
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


def check_in_detail(kind: str, texts: Mapping[str, tuple[str, str]], attachment_name: str) -> list[Problem]:
    """Return what is wrong with the texts of a template, each thing at its place.

    Every formula is read, then tried with the values of a made-up document and with those of an empty one.

    Args:
        kind: Its document kind, whose catalogue says which fields there are.
        texts: Subject and body by language.
        attachment_name: Pattern of the PDF's file name.
    """
    problems: list[Problem] = []
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
        problems += _try(kind, normalize(subject, is_html=False), f"subject_{language}", [language])
        problems += _try(kind, normalize(body, is_html=True), f"body_{language}", [language])
    if len(attachment_name) > _MAX_PATTERN:
        sentence = gettext("The file name has at most %(most)s characters.", most=_MAX_PATTERN)
        problems.append(Problem("attachment_name", sentence))
    problems += _try(kind, normalize(attachment_name, is_html=False), "attachment_name", list(texts))
    return problems


def check_template(
    kind: str, texts: Mapping[str, tuple[str, str]], attachment_name: str
) -> dict[str, list[str]]:
    """Return what is wrong, by form field (`subject_en`, `body_fr`, `attachment_name`); {} for nothing."""
    found: dict[str, list[str]] = {}
    for problem in check_in_detail(kind, texts, attachment_name):
        found.setdefault(problem.field, []).append(problem.sentence)
    return found


def _try(kind: str, source: str, field: str, languages: Sequence[str]) -> list[Problem]:
    problems = find_problems(source, [spec.name for spec in catalogue(kind)], field=field)
    for language in languages if not problems else []:
        with force_locale(language):
            filled, empty = sample_values(kind), empty_values(kind)
        problems = try_out(source, filled, empty, currency=SAMPLE_CURRENCY, field=field, language=language)
        if problems:
            break
    return problems


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
