"""The PDF of a document is laid out once in a process, whoever wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.db import db
from core.documents import pdf
from core.documents.models import Document
from core.partners.models import Partner
from modules.distribution import dispatches as verbs
from modules.distribution import paper
from modules.distribution.models import PrintOrder
from modules.outbox import service as outbox
from modules.outbox.compose import actions
from modules.outbox.compose.draft import draft_for
from modules.outbox.delivery.pdf import render_pdf
from modules.outbox.models import OutgoingMail
from tests.distribution.conftest import states


def test_preview_composer_mail_archive_and_print_share_one_pdf(
    contact: Partner,
    rule: Callable[..., object],
    posted: Callable[..., Document],
    seller: User,
    archive_dir: Path,
    sign_in: Callable[[User], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laid_out: list[str] = []
    engine = pdf.html_to_pdf
    monkeypatch.setattr(pdf, "html_to_pdf", lambda html, **how: laid_out.append(html) or engine(html, **how))
    monkeypatch.setattr(pdf, "_kept", pdf._kept.__class__(pdf.KEPT_BYTES, pdf.KEPT_SECONDS, getsizeof=len))
    rule(archived=True, on_paper=True, automatic=True, grace_minutes=0)
    document = posted()

    shown = actions.make_pdf(document, "Invoice.pdf", document.language)
    assert sign_in(seller).get(f"/documents/{document.id}/pdf").mimetype == "application/pdf"
    mail = outbox.submit(draft_for(document, None, seller), seller)
    carried = render_pdf(db.session.get_one(OutgoingMail, mail.id))
    verbs.go()
    assert ("archive", "done") in states()
    (archived,) = [one.read_bytes() for one in archive_dir.rglob("*") if one.is_file()]
    row = paper.choose([document.id], seller)
    paper.make(row, PrintOrder.LIST, double_sided=False)
    paper.run(row.id)

    assert len(laid_out) == 1
    assert len(carried) == shown.attachment.size
    assert archived == carried
