from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.mail.addresses import (
    Address,
    InvalidAddressError,
    _parts_of,
    ascii_addr_spec,
    needs_smtputf8,
    normalize,
    one_line,
    parse_address,
    parse_addresses,
)

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
    ],
)
def test_an_address_is_kept_as_it_is_written(text: str, addr_spec: str) -> None:
    assert normalize(text) == addr_spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "anna@",
        "@example.com",
        "anna@@example.com",
        "anna@example..com",
        "anna@-example.com",
        ".anna@example.com",
        "anna b@example.com",
        "anna@example.com, ben@example.com",
        "anna@exam ple.com",
        "anna@[127.0.0.1]",
        "anna@" + "e" * 64 + ".com",
        "anna@example.com\nBcc: all@example.com",
        "anna\r\n@example.com",
        "anna@example.com\0",
        "<anna@example.com>",
        "x" * 100_000,
    ],
)
def test_what_is_no_address_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(InvalidAddressError) as caught:
        normalize(text)
    sentence = str(caught.value)
    assert sentence.endswith("is not a valid email address.")
    assert "\n" not in sentence
    assert len(sentence) < 130
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
    ],
)
def test_many_are_read_in_their_order_each_once(text: str, found: list[str], wrong: list[str]) -> None:
    addresses, errors = parse_addresses(text)
    assert [address.addr_spec for address in addresses] == [f"{name}@x.example" for name in found]
    assert [error.text for error in errors] == wrong


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
    assert [part for part in _parts_of(text) if part] == in_one_pattern


def test_of_too_many_addresses_the_others_come_back_as_text():
    found, errors = parse_addresses("; ".join(f"n{number}@example.com" for number in range(2003)))
    assert len(found) == 2000
    assert [error.text for error in errors] == ["n2000@example.com; n2001@example.com; n2002@example.com"]
