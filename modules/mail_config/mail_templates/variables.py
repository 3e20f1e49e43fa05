"""The verbs of variables of one's own: made, changed and deleted so that no template is left with a hole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from flask_babel import get_locale, gettext
from sqlalchemy import or_, select

from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.i18n import quoted
from core.mail.addresses import one_line
from modules.mail_config.mail_templates.validation import check_template
from modules.mail_config.models import MailTemplate, MailTemplateText, TemplateVariable
from modules.mail_config.template_language.fields import (
    SAMPLE_CURRENCY,
    empty_values,
    plain_catalogue,
    sample_values,
    template_kinds,
)
from modules.mail_config.template_language.linter import find_problems, try_out, used_fields
from modules.mail_config.template_language.own_variables import GROUP, Variable
from modules.mail_config.template_language.sandbox import MAX_FORMULA
from modules.mail_config.template_language.tags import normalize, tags_of

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LABEL_AT_MOST = 120
_BRACES = re.compile(r"\A\{\{(.*)\}\}\Z", re.DOTALL)


def variables_of(kind: str) -> list[TemplateVariable]:
    """Return the stored variables of a kind, by label; one for all before those of companies."""
    query = select(TemplateVariable).where(TemplateVariable.kind == kind)
    order = (TemplateVariable.code, TemplateVariable.company_id.is_not(None), TemplateVariable.id)
    return list(db.session.scalars(query.order_by(*order)))


def tidy_formula(typed: str) -> str:
    """Return a formula as it is kept: without the braces that templates have around it, with plain quotes."""
    formula = typed.strip()
    if found := _BRACES.match(formula):
        formula = found[1]
    return normalize(f"{{{{ {formula} }}}}", is_html=False)[2:-2].strip()


def problems_of(kind: str, formula: str) -> list[str]:
    """Return what is wrong with the formula of a variable, a sentence each."""
    if not formula:
        return [gettext("A field or a formula is needed.")]
    if len(formula) > MAX_FORMULA:
        return [gettext("This formula is too long.")]
    source = f"{{{{ {formula} }}}}"
    tags = list(tags_of(source))
    if len(tags) != 1 or tags[0].text != source:
        return [gettext("A variable is one formula: no braces, and no text outside of quotation marks.")]
    if any(name.startswith(f"{GROUP}.") for name in used_fields(source)):
        return [gettext("A variable cannot use another variable, only fields.")]
    known = [spec.name for spec in plain_catalogue(kind)]
    problems = find_problems(source, known, field="formula")
    language = str(get_locale() or "en")
    if not problems:
        filled, empty = sample_values(kind), empty_values(kind)
        problems = try_out(
            source, filled, empty, currency=SAMPLE_CURRENCY, field="formula", language=language
        )
    return [problem.message for problem in problems]


def save_variable(
    row: TemplateVariable | None,
    *,
    kind: str,
    code: str,
    label: str,
    formula: str,
    company_id: int | None = None,
) -> TemplateVariable:
    """Make a variable, or change one.

    Args:
        row: The variable to change, or None for a new one.
        kind: The kind of templates of a new one.
        code: How templates call it behind `own.`; capitals, accents and blanks are made plain.
        label: For people.
        formula: A field, or a formula in the language of templates.
        company_id: The company whose documents it is for, or None for all.

    Raises:
        UserError: Something is missing, taken or wrong; or templates use it under its present code or company.
    """
    if kind not in template_kinds():
        raise UserError(_l("There is no kind of document “%(kind)s” here.", kind=kind))
    code, label, formula = checked_code(code), _checked_label(label), _checked_formula(kind, formula)
    with transaction() as session:
        if company_id is not None and session.get(Company, company_id) is None:
            raise UserError(_l("This company does not exist any more."), "company_id")
        same = select(TemplateVariable).where(TemplateVariable.kind == kind, TemplateVariable.code == code)
        same = same.where(
            TemplateVariable.company_id.is_(None)
            if company_id is None
            else TemplateVariable.company_id == company_id
        )
        other = session.scalar(same)
        if other is not None and other is not row:
            raise UserError(
                _l("There is a variable of this code already: “%(label)s”.", label=other.label), "code"
            )
        usable = [one for one in templates_using(kind, code) if not _problem_of(one)]
        if row is None:
            row = TemplateVariable(kind=kind)
            session.add(row)
        elif row.code != code:
            _refuse_while_used(row, [])
        elif row.company_id != company_id:
            _refuse_while_used(row, [Variable(code, label, formula, company_id)])
        row.code, row.label, row.formula, row.company_id = code, label, formula, company_id
        session.flush()
        _refuse_unusable(usable)
    return row


def _checked_label(typed: str) -> str:
    label = one_line(typed)
    if not label:
        raise UserError(_l("A name is needed."), "label")
    if len(label) > _LABEL_AT_MOST:
        raise UserError(_l("The name has at most %(most)s characters.", most=_LABEL_AT_MOST), "label")
    return label


def _checked_formula(kind: str, typed: str) -> str:
    formula = tidy_formula(typed)
    for problem in problems_of(kind, formula):
        raise UserError(problem, "formula")
    return formula


def _refuse_unusable(templates: Iterable[MailTemplate]) -> None:
    for template in templates:
        if problem := _problem_of(template):
            raise UserError(
                _l(
                    "The template “%(name)s” could not be used any more: %(why)s",
                    name=gettext(template.name),
                    why=problem,
                ),
                "formula",
            )


def _problem_of(template: MailTemplate) -> str:
    """Return what is wrong with a template, a text in place of an amount for example; "" for nothing."""
    texts = {text.language: (text.subject, text.body) for text in template.texts}
    found = check_template(
        template.kind, texts, template.attachment_name or "", company_id=template.company_id
    )
    return next((sentences[0] for sentences in found.values()), "")


def delete_variable(row: TemplateVariable) -> None:
    """Delete a variable.

    Raises:
        UserError: Templates use it, which are named: they would have a hole.
    """
    with transaction() as session:
        _refuse_while_used(row, [])
        session.delete(row)


def templates_using(kind: str, code: str) -> list[MailTemplate]:
    """Return the templates of a kind that use a variable, active or not, by name."""
    name = f"{GROUP}.{code}"
    mentions = MailTemplateText.subject.contains(GROUP) | MailTemplateText.body.contains(GROUP)
    query = select(MailTemplate).where(
        MailTemplate.kind == kind,
        or_(MailTemplate.attachment_name.contains(GROUP), MailTemplate.texts.any(mentions)),
    )
    rows = db.session.scalars(query.order_by(MailTemplate.name, MailTemplate.id))
    return [row for row in rows if name in names_used(sources_of(row))]


def names_used(sources: Iterable[str]) -> set[str]:
    """Return the variables that texts use, as they write them."""
    return {name for source in sources for name in used_fields(source) if name.startswith(f"{GROUP}.")}


def sources_of(template: MailTemplate) -> list[str]:
    """Return everything in a template that may use fields."""
    texts = [source for text in template.texts for source in (text.subject, text.body)]
    return [template.attachment_name or "", *texts]


def left_without(row: TemplateVariable, instead: Sequence[Variable]) -> list[MailTemplate]:
    """Return the templates that would have a hole without a variable, with others in its place."""
    left = [
        *(
            Variable(other.code, other.label, other.formula, other.company_id)
            for other in variables_of(row.kind)
            if other.id != row.id
        ),
        *instead,
    ]
    companies = list(db.session.scalars(select(Company.id).where(Company.active)))
    there = {variable.company_id for variable in left if variable.code == row.code}
    return [
        template
        for template in templates_using(row.kind, row.code)
        if not _covered(template.company_id, there, companies)
    ]


def _covered(company_id: int | None, there: Collection[int | None], companies: Sequence[int]) -> bool:
    if None in there:
        return True
    return company_id in there if company_id is not None else bool(there) and set(there).issuperset(companies)


def _refuse_while_used(row: TemplateVariable, instead: Sequence[Variable]) -> None:
    used = left_without(row, instead)
    if used:
        names = quoted(*(gettext(template.name) for template in used))
        raise UserError(
            _l(
                "Templates use this variable: %(names)s. Take it out of them first.",
                names=names,
            ),
            "code",
        )


def checked_code(typed: str) -> str:
    """Return the code that somebody means: small letters without accents, digits and underscores.

    Raises:
        UserError: It is none.
    """
    plain = unicodedata.normalize("NFKD", one_line(typed)).lower().removeprefix(f"{GROUP}.")
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    code = re.sub(r"[\s.'’/-]+", "_", plain).strip("_")
    if not _CODE.fullmatch(code):
        raise UserError(
            _l("A code begins with a letter and has letters, digits and underscores: opening_hours."), "code"
        )
    return code
