"""Addresses of mail (RFC 5322 §3.4, RFC 6531 for other scripts)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail import typed_addresses

MAX_TYPED_LENGTH = 100_000  # characters in a field of recipients; some 2,000 addresses
MAX_AT_ONCE = 2000
"""More than any mail may have: reading a hundred thousand characters of nonsense would take seconds."""
_LONGEST_LINE = 998
"""Characters of a line of a header (RFC 5322 §2.1.1); no honest address is longer, and long ones take their time."""
_BLANKS = re.compile(r" {2,}")
# Any of them could end a header, or a line of SMTP.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")

# What nearly all addresses are, and all rules below leave as it is: the till, a batch and an import
# read thousands at once, and asking every rule about each costs them more than all the rest.
_PLAIN = re.compile(
    r"(?=[^@]{1,64}@[^@]{4,63}$)[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    # RFC 6761: nobody is reached there.
    r"(?!(?:arpa|invalid|local|localhost|onion|test)$)[a-z]{2,}"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox.

    Attributes:
        addr_spec: `local@domain`, the domain in lower case; international names stay Unicode.
        display_name: The name shown before it, or "".
    """

    addr_spec: str
    display_name: str = ""

    @property
    def key(self) -> str:
        """The spelling by which two addresses are compared; equal for one mailbox, whatever the case of its letters."""
        return self.addr_spec.casefold()

    def __str__(self) -> str:
        return f"{self.display_name} <{self.addr_spec}>" if self.display_name else self.addr_spec


class InvalidAddressError(UserError):
    """The text is not an address; `text` is what was typed."""

    def __init__(self, message: object, text: str, field: str | None = None) -> None:
        super().__init__(message, field)
        self.text = text


def one_line(text: str) -> str:
    """Return the text without control characters and line breaks, so that it can stand in a header."""
    # Only plain blanks are folded: the no-break ones belong to numbers and to French punctuation.
    return _BLANKS.sub(" ", _CONTROL.sub(" ", text)).strip()


def normalize(text: str, field: str | None = None) -> str:
    """Return the addr-spec of the text, checked by form; no network is asked.

    Args:
        text: What was typed; a name that stands beside the address is left out.
        field: The field of a form that it was typed into; the error is shown beside it.

    Raises:
        InvalidAddressError: The text is not an addr-spec.
    """
    if len(text) > _LONGEST_LINE:
        raise _invalid(text.strip(), None, field)
    return _checked(text.strip(), typed_addresses.name_and_spec(text)[1], field)


def _checked(text: str, spec: str, field: str | None = None) -> str:
    """Return a spec as it is kept; what is wrong is told with the text that was typed for it."""
    if _PLAIN.fullmatch(spec):
        return spec
    cleaned = typed_addresses.clean(spec)
    wrong = typed_addresses.fault(cleaned)
    if wrong is not None:
        raise _invalid(text, wrong, field)
    try:
        checked = validate_email(
            cleaned,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=True,
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise _invalid(text, typed_addresses.doubtful(cleaned), field) from error
    return f"{checked.local_part}@{checked.domain}"


def _invalid(text: str, why: object | None, field: str | None) -> InvalidAddressError:
    shown = one_line(text)
    if len(shown) > 80:
        shown = shown[:80] + "…"
        # Where the fault is cannot be seen any more.
        why = None
    if why is None:
        return InvalidAddressError(_l("“%(text)s” is not a valid email address.", text=shown), text, field)
    words = _l("“%(text)s” is not a valid email address: %(why)s.", text=shown, why=why)
    return InvalidAddressError(words, text, field)


def ascii_addr_spec(addr_spec: str) -> str:
    """Return the address with its domain in IDNA form, as servers without SMTPUTF8 want it (RFC 5890)."""
    local, _, domain = addr_spec.rpartition("@")
    checked = validate_email(
        addr_spec, check_deliverability=False, allow_quoted_local=True, test_environment=True
    )
    return f"{local}@{checked.ascii_domain or domain}"


def needs_smtputf8(addr_spec: str) -> bool:
    """Return True when the local part can travel only by SMTPUTF8 (RFC 6531)."""
    return not addr_spec.rpartition("@")[0].isascii()


def parse_address(text: str) -> Address:
    """Read `local@domain`, `Name <local@domain>` or `local@domain (Name)`.

    Raises:
        InvalidAddressError: The text is none of these.
    """
    if len(text) > _LONGEST_LINE:
        raise _invalid(text.strip(), None, None)
    name, spec = typed_addresses.name_and_spec(text)
    return Address(_checked(spec.strip(), spec), one_line(name))


def parse_addresses(text: str) -> tuple[list[Address], list[InvalidAddressError]]:
    """Read addresses separated by `;`, `,` or new lines, in the order in which they were typed.

    A repeated address is taken once. What separates, and what does not: `typed_addresses.split`.

    Returns:
        The addresses, and one error for each part that is none.
    """
    if _PLAIN.fullmatch(text):
        return [Address(text)], []
    found: dict[str, Address] = {}
    errors: list[InvalidAddressError] = []
    # The rest is not lost: the page keeps what was typed and says that it was not read.
    parts = typed_addresses.split(text[:MAX_TYPED_LENGTH])
    if len(parts) > MAX_AT_ONCE:
        rest = "; ".join(parts[MAX_AT_ONCE:])
        words = _l(
            "%(count)s addresses are read at once; the others are left as they are.", count=MAX_AT_ONCE
        )
        errors.append(InvalidAddressError(words, rest))
    for part in parts[:MAX_AT_ONCE]:
        try:
            address = parse_address(part)
        except InvalidAddressError as error:
            errors.append(error)
        else:
            found.setdefault(address.key, address)
    return list(found.values()), errors
