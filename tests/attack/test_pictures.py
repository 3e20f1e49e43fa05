"""Pictures that are small as files only: drawing them must not keep a process busy, nor fill its memory."""

from __future__ import annotations

import base64
import io
import time
import tracemalloc
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from PIL import Image

from core.auth.models import User
from core.companies.service import clean_logo
from core.documents.models import Document
from core.errors import UserError
from tests.outbox import conftest as outbox
from tests.outbox.pages import changed, opened

customer, seller, quotation = outbox.customer, outbox.seller, outbox.quotation


def bomb(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG", optimize=True)
    return out.getvalue()


def test_a_logo_of_many_pixels_is_refused_before_it_is_drawn() -> None:
    data = bomb(13_370)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="too many pixels"):
            clean_logo(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_text_with_many_large_pictures_is_answered_soon(
    seller: User, quotation: Document, sign_in: Callable[[User], FlaskClient]
) -> None:
    browser = sign_in(seller)
    address = f"data:image/png;base64,{base64.b64encode(bomb(5000)).decode()}"
    body = f"<div>{f'<img src={chr(34)}{address}{chr(34)}>' * 100}</div>"
    form = changed(opened(browser, quotation), body=body)
    began = time.process_time()
    answer = browser.post(f"/outbox/compose/{quotation.id}", data=form)
    assert answer.status_code == 422
    assert "A pasted picture cannot be sent as it is" in answer.text
    assert time.process_time() - began < 5
