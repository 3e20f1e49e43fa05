"""Pictures in the text of a mail: from the editor to files of the mail, and back to where people look at it."""

from __future__ import annotations

import pytest

from core.errors import UserError
from core.mail.draft import DraftAttachment
from modules.outbox.html_body import clean_html, page, plain_text, show_pictures, take_pictures

PHOTO = DraftAttachment("photo.png", "image/png", "ab" * 32, 10)
DRAWING = DraftAttachment("drawing.svg", "image/svg+xml", "cd" * 32, 10)
CID = f"{'ab' * 16}@picture.invalid"
FIGURE = (
    '<figure data-trix-attachment="{{}}" class="attachment attachment--preview">'
    '<img src="/outbox/compose/file/{}" width="100" height="20">'
    '<figcaption class="attachment__caption"><span class="attachment__name">photo.png</span>'
    ' <span class="attachment__size">10 bytes</span></figcaption></figure>'
)


def resolve(mark: str) -> DraftAttachment | None:
    return {"PHOTO": PHOTO, "DRAWING": DRAWING}.get(mark)


def keep(data: bytes, media_type: str) -> DraftAttachment:
    assert data == b"\x89PNG"
    return DraftAttachment("pasted.png", media_type, "ef" * 32, len(data))


def test_a_picture_of_the_editor_becomes_a_file_of_the_mail():
    body, files = take_pictures(f"<div>Look: {FIGURE.format('PHOTO')}</div>", resolve)
    assert body == f'<div>Look: <img src="cid:{CID}" width="100" height="20" alt="photo.png"></div>'
    assert files == [DraftAttachment("photo.png", "image/png", "ab" * 32, 10, CID)]
    assert clean_html(body) == body
    assert plain_text(body) == "Look: [photo.png]\n"


def test_a_picture_shown_twice_is_one_file():
    body, files = take_pictures(FIGURE.format("PHOTO") * 2, resolve)
    assert body.count(f"cid:{CID}") == 2
    assert len(files) == 1


def test_a_text_without_pictures_has_no_files():
    assert take_pictures("<div>Hello</div>", resolve) == ("<div>Hello</div>", [])


@pytest.mark.parametrize(
    "address", ["https://evil.example/x.png", "//evil.example/x", "cid:other@x", "x.png", ""]
)
def test_pictures_from_elsewhere_are_left_out(address):
    body, files = take_pictures(f'before <img src="{address}" alt="logo"> after', resolve)
    assert "<img" not in body
    assert files == []


def test_a_picture_that_is_gone_is_told():
    with pytest.raises(UserError, match="gone") as caught:
        take_pictures(FIGURE.format("LOST"), resolve)
    assert caught.value.field == "body"


def test_a_picture_that_no_mail_program_shows_is_refused_with_its_name():
    with pytest.raises(UserError, match=r"“drawing\.svg” cannot be shown"):
        take_pictures(FIGURE.format("DRAWING"), resolve)


def test_a_pasted_picture_becomes_a_file():
    body, files = take_pictures('<img src="data:image/png;base64,iVBORw==">', resolve, keep=keep)
    assert [file.name for file in files] == ["pasted.png"]
    assert f'src="cid:{files[0].content_id}"' in body


@pytest.mark.parametrize(
    "address",
    [
        "data:image/png;base64,iVBORw==",
        "data:image/png,%89PNG",
        "data:text/html,<b>",
        "data:image/png;base64,?",
    ],
)
def test_where_nobody_keeps_them_pasted_pictures_are_refused(address):
    with pytest.raises(UserError, match="pasted picture"):
        take_pictures(f'<img src="{address}">', resolve)


def test_pictures_of_a_mail_are_shown_where_the_browser_finds_them():
    body, _files = take_pictures(FIGURE.format("PHOTO"), resolve)
    shown = show_pictures(body, {CID: "/somewhere"}.get)
    assert 'src="/somewhere"' in shown
    assert 'alt="photo.png"' in shown
    assert "<img" not in show_pictures(body, {}.get)
    # Written back by the editor, it is the same text.
    marked = show_pictures(body, lambda _cid: "/outbox/compose/file/PHOTO")
    assert take_pictures(marked, resolve)[0] == body


def test_no_picture_is_wider_than_the_screen():
    body, _files = take_pictures(FIGURE.format("PHOTO"), resolve)
    assert f'<img style="max-width:100%;height:auto" src="cid:{CID}"' in page(body, "en")
    assert "<img" not in page("<p>&lt;img src=x&gt;</p>", "en")


@pytest.mark.parametrize(
    ("attributes", "size", "shown"),
    [
        ('width="3000" height="2000"', (1200, 900), 'width="600" height="450"'),
        ('width="300" height="900"', (1200, 900), 'width="300" height="225"'),
        ("", (1200, 900), 'width="600" height="450"'),
        ("", (40, 20), 'width="40" height="20"'),
        ('width="100%"', (40, 20), 'width="40" height="20"'),
        ('width="3000" height="2000"', None, 'width="600"'),
        ('width="300" height="200"', None, 'width="300" height="200"'),
        ("", (1, 4000), 'width="1" height="4000"'),
    ],
)
def test_no_picture_is_wider_than_a_mail_is_read(attributes, size, shown):
    text = f'<div><img src="/outbox/compose/file/PHOTO" {attributes}></div>'
    body, _files = take_pictures(text, resolve, size_of=lambda _file: size)
    assert body == f'<div><img src="cid:{CID}" {shown} alt="photo.png"></div>'
