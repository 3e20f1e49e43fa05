from __future__ import annotations

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.mail import addresses, typed_addresses
from core.mail.addresses import (
    Address,
    InvalidAddressError,
    ascii_addr_spec,
    needs_smtputf8,
    normalize,
    one_line,
    parse_address,
    parse_addresses,
)
from core.mail.mistyped import meant
from tests.typed_addresses import ADDRESSES, NO_ADDRESSES, SLIPS

BREAKS = "\r\n\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HOSTILE = st.text(st.sampled_from("ab@.<>\"',;:\\()[] é" + BREAKS), max_size=60)


@pytest.mark.parametrize(
    ("text", "addr_spec"),
    [
        ("anna@example.com", "anna@example.com"),
        ("  Anna.B+tag@Example.COM ", "Anna.B+tag@example.com"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("josé@exámple.com", "josé@exámple.com"),
        ("jose\u0301@example.com", "josé@example.com"),
        ("用户@例え.jp", "用户@例え.jp"),
        ('"two words"@example.com', '"two words"@example.com'),
        # Longer than RFC 5321 §4.5.3.1.1 promises everywhere, and up to the server that has the mailbox.
        ("a" * 65 + "@example.com", "a" * 65 + "@example.com"),
        ("a@xn--exmple-qta.com", "a@exámple.com"),
        # What comes along when somebody copies it.
        *ADDRESSES,
        ("\u200canna@example.com\u200d", "anna@example.com"),
        ("an\u00adna@example.com", "anna@example.com"),
        ("MAILTO:anna@example.com", "anna@example.com"),
        ("«\u00a0anna@example.com\u00a0»", "anna@example.com"),
        ("ａｎｎａ@example.com", "anna@example.com"),
        # Japanese carriers gave them out; RFC 5321 §4.1.2 knows them in quotation marks only.
        ("a..b@docomo.ne.jp", '"a..b"@docomo.ne.jp'),
        ("ab.@ezweb.ne.jp", '"ab."@ezweb.ne.jp'),
        (".ab@d.vodafone.ne.jp", '".ab"@d.vodafone.ne.jp'),
        ('"a..b"@docomo.ne.jp', '"a..b"@docomo.ne.jp'),
    ],
)
def test_an_address_is_kept_as_it_is_written(text: str, addr_spec: str) -> None:
    assert normalize(text) == addr_spec


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no @ in it"),
        ("anna", "there is no @ in it"),
        ("anna@", "nothing stands after the @"),
        ("@example.com", "nothing stands before the @"),
        ("anna@@example.com", "there is more than one @ in it"),
        ("anna@example..com", "a dot is too many after “anna@example”"),
        ("anna@.example.com", "a dot is too many after “anna@”"),
        ("anna@-example.com", "“-example” begins or ends with a hyphen"),
        ("anna@example-.com", "“example-” begins or ends with a hyphen"),
        (".anna@example.com", "it begins with a dot"),
        ("anna.@example.com", "a dot stands right before the @"),
        ("an..na@example.com", "two dots follow each other after “an”"),
        ("anna b@example.com", "there is a space after “anna”"),
        ("anna\u00a0b@example.com", "there is a space after “anna”"),
        ("anna@example.com, ben@example.com", "there is more than one @ in it"),
        ("anna@exam ple.com", "there is a space after “anna@exam”"),
        ("anna@exam_ple.com", "“_” cannot stand after “anna@exam”"),
        ("anna@example,com", "“,” cannot stand after “anna@example”"),
        ("an(na@example.com", "“(” cannot stand after “an”"),
        ("(anna@example.com", "it cannot begin with “(”"),
        ("anna@localhost", "after the @ the ending is missing, such as .com"),
        ("anna@[127.0.0.1]", "“[” cannot stand after “anna@”"),
        ("anna@" + "e" * 64 + ".com", "what stands after the @ is too long"),
        ("anna\r\n@example.com", "there is a space after “anna”"),
        ("anna@example.com\0", "“U+0000” cannot stand after “anna@example.com”"),
        ("anna\u200cb@example.com", "“U+200C” cannot stand after “anna”"),
        ("anna@ex…ample.com", "“…” cannot stand after “anna@ex”"),
        ("anna@example.123", "after the @ it cannot end with the number “123”"),
        ("anna@127.0.0.1", "after the @ it cannot end with the number “1”"),
        # What nobody can see in full is not pointed at.
        ("x" * 100 + "@exam ple.com", None),
        ("anna@" + ".".join(["e" * 60] * 5) + ".com", None),
        ("x" * 100_000, None),
    ],
)
def test_what_is_no_address_is_refused_in_one_line_that_says_what_is_wrong_and_where(
    text: str, why: str | None
) -> None:
    with pytest.raises(InvalidAddressError) as caught:
        normalize(text)
    sentence = str(caught.value)
    assert sentence.endswith(
        f"is not a valid email address: {why}." if why else "is not a valid email address."
    )
    assert "\n" not in sentence
    assert len(sentence) < 190
    assert caught.value.text == text.strip()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("anna@example.com", Address("anna@example.com")),
        ("Anna B <anna@example.com>", Address("anna@example.com", "Anna B")),
        ('"B, Anna" <anna@example.com>', Address("anna@example.com", "B, Anna")),
        (" Anna\tB  < anna@example.com >", Address("anna@example.com", "Anna B")),
        ("<anna@example.com>", Address("anna@example.com")),
        ("a < b <anna@example.com>", Address("anna@example.com", "a < b")),
        ("Bcc: x\r\n y <anna@example.com>", Address("anna@example.com", "Bcc: x y")),
        (r'"Anna \"Nan\" B" <anna@example.com>', Address("anna@example.com", 'Anna "Nan" B')),
        (r'"A \\ B" <anna@example.com>', Address("anna@example.com", r"A \ B")),
        ("anna@example.com (Anna B)", Address("anna@example.com", "Anna B")),
        ("Anna <mailto:anna@example.com>", Address("anna@example.com", "Anna")),
        ("Anna [mailto:anna@example.com]", Address("anna@example.com", "Anna")),
        ("Anna B (anna@example.com)", Address("anna@example.com", "Anna B")),
        ("Anna B <anna@example.com> (work)", Address("anna@example.com", "Anna B")),
        ("<anna@example.com> (Anna B)", Address("anna@example.com", "Anna B")),
        ("Anna <<anna@example.com>>", Address("anna@example.com", "Anna")),
        ("Anna B: anna@example.com", Address("anna@example.com", "Anna B")),
        ("E-mail: anna@example.com", Address("anna@example.com")),
        ("• anna@example.com", Address("anna@example.com")),
        ("2. anna@example.com", Address("anna@example.com")),
        ("'B, Anna' <anna@example.com>", Address("anna@example.com", "B, Anna")),
        ("“Anna B” <anna@example.com>", Address("anna@example.com", "Anna B")),
        ("'A' & 'B' <anna@example.com>", Address("anna@example.com", "'A' & 'B'")),
    ],
)
def test_a_name_may_stand_before_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "found", "wrong"),
    [
        ("", [], []),
        (" ;, \n ,", [], []),
        ("a@x.example; b@x.example,c@x.example\nd@x.example", ["a", "b", "c", "d"], []),
        ("b@x.example, a@x.example, B@X.example", ["b", "a"], []),
        ("a@x.example, nobody, b@x.example, a@", ["a", "b"], ["nobody", "a@"]),
        ('"A, B" <a@x.example>, b@x.example', ["a", "b"], []),
        ('"A, B" <a@x.example>, wrong', ["a"], ["wrong"]),
        # As Outlook copies them.
        ("Doe, Ann <a@x.example>; Roe, Ben <b@x.example>", ["a", "b"], []),
        ("Doe, Ann <a@x.example>, Roe, Ben <b@x.example>, c@x.example", ["a", "b", "c"], []),
        ("nobody, some, Ben <b@x.example>", ["b"], ["nobody"]),
        ("nobody; Ben <b@x.example>", ["b"], ["nobody"]),
        ("a@x.example b@x.example\tc@x.example", ["a", "b", "c"], []),
        ("a@x.example；b@x.example，c@x.example", ["a", "b", "c"], []),
        (r'"A \", B" <a@x.example>; b@x.example', ["a", "b"], []),
        # One address is never taken for the name of the next one.
        ("A <a@x.example><b@x.example> C <c@x.example>", ["a", "b", "c"], []),
        ("a@x.example | b@x.example & c@x.example", ["a", "b", "c"], []),
        ('"a@y <b> c" <a@x.example>', ["a"], []),
    ],
)
def test_many_are_read_in_their_order_each_once(text: str, found: list[str], wrong: list[str]) -> None:
    addresses, errors = parse_addresses(text)
    assert [address.addr_spec for address in addresses] == [f"{name}@x.example" for name in found]
    assert [error.text for error in errors] == wrong


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_whatever_is_refused_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(InvalidAddressError, match="not a valid email address: "):
        normalize(text)


def test_a_slip_is_noticed_and_a_neighbor_is_none() -> None:
    assert [meant(text, "fr") for text in SLIPS] == [
        "a@gmail.com", "", "a@gmail.com", "a@gmail.com", "", "a@orange.fr", "a@x.com", "a@hotmail.fr",
        "a@yahoo.fr", "", "a@me.com", "a@outlook.com", "a@free.fr", "", "", "", "", "", "a@gmail.com", "a@gmail.com",
        "", "", "", "",
    ]  # fmt: skip


@given(HOSTILE | st.text(max_size=60))
@example('"a\n"@example.com')
@example('"\u2028"@example.com')
@example("a\nb <a@example.com>")
@example('"a\r\nBcc: x" <"\\\n"@example.com>,')
def test_nothing_that_is_read_breaks_a_header(text: str) -> None:
    addresses, errors = parse_addresses(text)
    for address in addresses:
        for part in (address.addr_spec, address.display_name, str(address)):
            assert not set(part) & set(BREAKS), part
        assert normalize(address.addr_spec) == address.addr_spec
    for error in errors:
        assert not set(str(error)) & set("\r\n")


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert line.splitlines() in ([], [line])
    assert line == line.strip()
    assert one_line(line) == line


@pytest.mark.parametrize(
    "text",
    ['"', '",', "<", "@", "a@", "(", "\\", '"\\', '\\"(', '\\"@<>(', '"a@b.c" <', ",", "a@example.com,"],
)
def test_endless_input_comes_to_an_end(text: str) -> None:
    # What grows with the square of the length does not end within pytest's time limit.
    addresses, errors = parse_addresses(text * (200_000 // len(text)))
    assert len(addresses) <= 1
    assert addresses or errors or not text.strip(",")


def test_domains_travel_in_ascii() -> None:
    assert ascii_addr_spec("josé@exámple.com") == "josé@xn--exmple-qta.com"
    assert ascii_addr_spec('"a@b"@example.com') == '"a@b"@example.com'


def test_only_the_local_part_needs_smtputf8() -> None:
    assert needs_smtputf8("josé@example.com")
    assert not needs_smtputf8("jose@exámple.com")


def test_two_spellings_of_one_mailbox_share_a_key() -> None:
    assert Address("Anna@example.com", "A").key == Address("anna@example.com").key


@pytest.mark.parametrize(
    ("text", "specs", "wrong"),
    [
        ('"Comma, Inc" <a@example.com>,no address', ["a@example.com"], ["no address"]),
        ('"Semi; Colon" <a@example.com>; b@example.com', ["a@example.com", "b@example.com"], []),
        ('"A \\"B\\", C" <a@example.com>, b@example.com', ["a@example.com", "b@example.com"], []),
        ('"never closed <a@example.com>, b@example.com', ["a@example.com", "b@example.com"], []),
    ],
)
def test_what_was_typed_is_taken_apart_outside_quotation_marks_and_never_shortened(
    text: str, specs: list[str], wrong: list[str]
) -> None:
    found, errors = parse_addresses(text)
    assert [address.addr_spec for address in found] == specs
    assert [error.text for error in errors] == wrong


@given(st.text(st.sampled_from('"\\,;a @<'), max_size=30))
@example('"a;b" c"d,e')
@example('"a\\",b" , "c')
def test_quotation_marks_hold_together_what_they_enclose(text: str) -> None:
    """Where one is never closed it is a letter like any other."""
    in_one_pattern = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^;,])+', text)
    assert [part for part, _mark in typed_addresses._parts_of(text) if part] == in_one_pattern


def test_of_too_many_addresses_the_others_come_back_as_text():
    found, errors = parse_addresses("; ".join(f"n{number}@example.com" for number in range(2003)))
    assert len(found) == 2000
    assert [error.text for error in errors] == ["n2000@example.com; n2001@example.com; n2002@example.com"]


def test_a_name_with_its_parts_the_wrong_way_round_is_kept_whole() -> None:
    (address,), errors = parse_addresses("Doe, Ann <a@x.example>")
    assert (address.display_name, errors) == ("Doe, Ann", [])


_PIECES = ("a", "xn", "9", "b-c", "-", "--", "_", "+", ".", "test", "local", "ab", "fr", "com", "@", "x" * 30)


def test_what_is_plain_is_read_as_the_rules_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(19)  # noqa: S311 (must repeat, not be secret)
    typed = [
        "".join(chance.choices(_PIECES, k=chance.randrange(1, 7)))
        + "@"
        + "".join(chance.choices(_PIECES, k=chance.randrange(2, 9)))
        for _ in range(5000)
    ]
    typed += [f"{spec}.{ending}" for spec in typed[:2000] for ending in ("fr", "test", "com")]
    plain = [spec for spec in typed if addresses._PLAIN.fullmatch(spec)]
    assert len(plain) > 100
    with monkeypatch.context() as without:
        without.setattr(addresses, "_PLAIN", re.compile("(?!)"))
        assert [spec for spec in plain if parse_addresses(spec) != ([Address(spec)], [])] == []
    monkeypatch.delattr(addresses, "validate_email")  # nobody is asked about them
    assert [spec for spec in plain if parse_addresses(spec) != ([Address(spec)], [])] == []
    assert [spec for spec in plain if parse_address(spec) != Address(spec)] == []
