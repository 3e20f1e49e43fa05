"""What is probably not meant in a mail: a slip in an address, a document that is wrong or cannot be printed whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from flask_babel import get_locale, gettext

from core.documents.glyphs import unprintable
from core.documents.models import Document
from core.documents.service import warnings_of
from core.mail.mistyped import meant
from modules.outbox.compose.form import ComposeForm
from modules.outbox.limits import Finding, Severity


def about_slips(form: ComposeForm) -> Iterator[Finding]:
    """Ask about addresses whose domain looks like a slip for a usual one."""
    for recipient in form.draft.recipients:
        addr_spec = recipient.address.addr_spec
        better = meant(addr_spec, str(get_locale() or "en"))
        if better:
            yield Finding(
                f"mistyped:{addr_spec}",
                Severity.ASK,
                gettext(
                    "%(address)s may be mistyped. Did you mean %(better)s?", address=addr_spec, better=better
                ),
                field=recipient.field.value,
            )


def about_what_it_says(form: ComposeForm, document: Document) -> Iterator[Finding]:
    """Ask about what its module finds doubtful in the document, and about characters that its PDF cannot show."""
    missing = unprintable(document, form.draft.language)
    for sentence in [*warnings_of(document), *([missing] if missing else [])]:
        key = hashlib.sha256(sentence.encode()).hexdigest()[:16]
        yield Finding(f"document:{key}", Severity.ASK, sentence, field="pdf")
