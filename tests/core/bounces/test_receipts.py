"""Receipts, complaints and automatic answers are none of them bounces."""

from __future__ import annotations

import datetime as dt

import pytest

from core.mail.bounces import Action, Nature, read
from tests.core.bounces import exim
from tests.core.bounces import samples as s


def test_a_delivery_receipt_says_what_became_of_each() -> None:
    reading = read(s.RECEIPT)
    assert reading.nature is Nature.DELIVERY_RECEIPT
    assert [(n.recipient, n.action, n.permanent, n.kind) for n in reading.notices] == [
        ("ann@far.example", Action.DELIVERED, None, None),
        ("bob@far.example", Action.RELAYED, None, None),
        ("list@far.example", Action.EXPANDED, None, None),
    ]


def test_exim_calls_delivered_what_it_has_only_handed_on() -> None:
    notices = read(exim.EXIM_RECEIPT).notices
    assert [(n.recipient, n.action) for n in notices] == [
        ("ann@far.example", Action.RELAYED),
        ("bob@far.example", Action.DELIVERED),
    ]


@pytest.mark.parametrize(
    ("disposition", "action"),
    [
        ("manual-action/MDN-sent-manually; displayed", Action.DISPLAYED),
        ("automatic-action/MDN-sent-automatically; processed", Action.PROCESSED),
        ("manual-action/MDN-sent-automatically; deleted", Action.DELETED),
        ("manual-action/MDN-sent-manually; denied", Action.DECLINED),
        ("manual-action/MDN-sent-manually; displayed/error", Action.DISPLAYED),
    ],
)
def test_a_read_receipt(disposition: str, action: Action) -> None:
    reading = read(s.read_receipt(disposition))
    assert reading.nature is Nature.READ_RECEIPT
    assert [(n.recipient, n.action) for n in reading.notices] == [("ann@far.example", action)]
    assert reading.about.message_ids == ("<mail.7@atelier.example>",)


def test_a_complaint() -> None:
    reading = read(s.COMPLAINT)
    assert (reading.nature, reading.complaint) == (Nature.COMPLAINT, "abuse")
    assert [(n.recipient, n.action) for n in reading.notices] == [("ann@far.example", Action.COMPLAINED)]
    assert reading.about.message_ids == ("<mail.7@atelier.example>",)


def test_a_complaint_that_is_our_own_message_sent_back() -> None:
    reading = read(
        b"Return-Path: staff@hot.example\nX-HmXmrOriginalRecipient: ann@hot.example\nReceived: from a.example\n"
        b"From: Maison <sales@maison.example.com>\nTo: ann@hot.example\nSubject: Our offer\n"
        b"Message-ID: <mail.1@maison.example.com>\n\nBuy now.\n"
    )
    assert (reading.nature, reading.complaint) == (Nature.COMPLAINT, "abuse")
    assert [notice.recipient for notice in reading.notices] == ["ann@hot.example"]
    assert reading.about.message_ids == ("<mail.1@maison.example.com>",)


def test_a_complaint_without_a_report() -> None:
    reading = read(s.BARE_COMPLAINT)
    assert (reading.nature, reading.complaint) == (Nature.COMPLAINT, "abuse")
    assert [n.recipient for n in reading.notices] == ["ann@hot.example"]


def answer(subject: str, words: str, *, fields: str = "") -> bytes:
    return (
        f"Return-Path: <>\nFrom: Ann <ann@far.example>\nTo: sales@atelier.example\nSubject: {subject}\n"
        f"Date: Mon, 30 Nov 2026 08:00:00 +0100\nIn-Reply-To: <mail.7@atelier.example>\n{fields}\n{words}\n"
    ).encode()


@pytest.mark.parametrize(
    ("subject", "words", "back"),
    [
        ("Automatic reply: Invoice", "I am back on December 7, 2026.", dt.date(2026, 12, 7)),
        ("Automatic reply: Invoice", "I will return on Monday 4 January.", dt.date(2027, 1, 4)),
        ("Out of Office: Invoice", "I am away until 2026-12-24. Call Bob.", dt.date(2026, 12, 24)),
        (
            "Réponse automatique : facture",
            "Je suis absente, de retour le 14 décembre.",
            dt.date(2026, 12, 14),
        ),
        ("Absence du bureau", "Je suis en congés jusqu'au 04/12/2026 inclus.", dt.date(2026, 12, 4)),
        (
            "Automatische Antwort: Rechnung",
            "Ich bin bis zum 11.12.2026 nicht im Büro.",
            dt.date(2026, 12, 11),
        ),
        (
            "Abwesenheitsnotiz",
            "Ich bin ab dem 7. Dezember wieder zurück am 9. Dezember.",
            dt.date(2026, 12, 9),
        ),
        (
            "Out of office",
            "I am out from 7 December until 11 December and will be back on Monday 14 December.",
            dt.date(2026, 12, 14),
        ),
        (
            "Absence du bureau",
            "Je suis absente du 7 au 11 décembre. Je serai de retour le lundi 14 décembre.",
            dt.date(2026, 12, 14),
        ),
        (
            "Abwesenheitsnotiz",
            "Ich bin bis zum 14.12.2026 nicht im Büro. Ab dem 15. Dezember 2026 bin ich wieder da.",
            dt.date(2026, 12, 15),
        ),
        (
            "Automatisch antwoord",
            "Ik ben afwezig tot en met 11 december. Vanaf 14 december ben ik weer bereikbaar.",
            dt.date(2026, 12, 14),
        ),
        (
            "Risposta automatica",
            "Sono fuori ufficio fino al 14 dicembre, rientro il 15 dicembre.",
            dt.date(2026, 12, 15),
        ),
        (
            "Automatic reply: Invoice",
            "I get back to you soon. I am away until 11 December.",
            dt.date(2026, 12, 11),
        ),
        ("Automatic reply: Invoice", "I will not be back until 14 December.", dt.date(2026, 12, 14)),
        ("Respuesta automática: factura", "Vuelvo el 9 de diciembre de 2026.", dt.date(2026, 12, 9)),
        ("Notification d’absence", "Absente du 1er au 12 décembre inclus.", dt.date(2026, 12, 12)),
        ("Automatische Antwort: Re", "Ab Montag, den 7. Dezember bin ich wieder da.", dt.date(2026, 12, 7)),
        ("Automatisch antwoord", "Ik ben maandag 7 december weer op kantoor.", dt.date(2026, 12, 7)),
        ("Respuesta automatica", "Me reincorporaré el 7 de diciembre.", dt.date(2026, 12, 7)),
        ("Risposta automatica", "Rientro previsto: 07/12/2026.", dt.date(2026, 12, 7)),
        ("Autosvar: faktura", "Jeg er tilbage mandag d. 7. december.", dt.date(2026, 12, 7)),
        ("Automatyczna odpowiedź", "Jestem poza biurem do 7 grudnia 2026.", dt.date(2026, 12, 7)),
        ("自動返信", "12月7日まで不在です。", dt.date(2026, 12, 7)),
        ("Automatic reply: Invoice", "On leave 30/11/2026 - 07/12/2026.", dt.date(2026, 12, 7)),
        ("Out of Office: Invoice", "Away from 30 November to 7 December.", dt.date(2026, 12, 7)),
        ("Automatic reply: Invoice", "I am back on 3/4/2026.", None),  # which of the two?
        ("Automatic reply: Invoice", "Thank you, we answer within two days.", None),
    ],
)
def test_an_automatic_answer_says_who_is_back_when(subject: str, words: str, back: dt.date | None) -> None:
    reading = read(answer(subject, words))
    assert (reading.nature, reading.back_on) == (Nature.AUTO_REPLY, back)
    assert reading.about.message_ids == ("<mail.7@atelier.example>",)
    assert reading.notices == ()


@pytest.mark.parametrize(
    "fields",
    [
        "Auto-Submitted: auto-replied\n",
        "X-Autoreply: yes\n",
        "Precedence: auto_reply\n",
        "X-Autorespond: away\n",
    ],
)
def test_a_field_tells_an_automatic_answer(fields: str) -> None:
    assert (
        read(answer("Invoice", "The mail could not be delivered to me today.", fields=fields)).nature
        is Nature.AUTO_REPLY
    )


def test_a_person_who_answers_an_automatic_answer_is_a_person() -> None:
    octets = answer("RE: Out of Office: Invoice", "Thanks, I'll call Bob.").replace(b"Return-Path: <>\n", b"")
    assert read(octets).nature is Nature.ORDINARY
