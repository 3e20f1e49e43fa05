"""Signatures of messages (DKIM: RFC 6376, RFC 8463, RFC 8301), over the octets that leave. No I/O.

Both sides are `relaxed`: servers on the way fold fields anew and take blanks off the ends of lines. Fields of a kind
that matters are signed once more than there are ("oversigned"): whoever adds a second From breaks the signature.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

RSA_BITS = 2048
"""What every receiver takes (RFC 8301 §3.2); a longer one would not fit into the answers of some DNS servers."""

_OVERSIGNED = (
    *(b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to"),
    *(b"in-reply-to", b"references", b"mime-version", b"content-type"),
)
# Whoever opts out by a button of the mailbox provider must not be led elsewhere: RFC 8058 §4 wants the first two.
# Fields that servers on the way may add honestly, such as Sender, are signed only where they are there.
_SIGNED = (
    *(b"list-unsubscribe", b"list-unsubscribe-post", b"auto-submitted", b"disposition-notification-to"),
    *(b"content-transfer-encoding", b"sender"),
)
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_PREHASHED = Prehashed(hashes.SHA256())
_FOLDED = 72  # columns of a line of the signature, without the blank that begins it


class Algorithm(StrEnum):
    """How a message is signed."""

    RSA = "rsa"  # with SHA-256: every receiver knows it
    ED25519 = "ed25519"  # short and fast; not every receiver knows it, so it stands beside RSA


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, read once.

    Attributes:
        domain: d=, in ASCII: the domain of the From.
        selector: s=, under which the public key is found in the DNS.
        private: The key itself.
    """

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        """How it signs."""
        return Algorithm.RSA if isinstance(self.private, RSAPrivateKey) else Algorithm.ED25519


def new_key(algorithm: Algorithm) -> tuple[str, str]:
    """Make a key; return the private half in PEM, and the public one as it stands in the DNS (`p=`)."""
    private: RSAPrivateKey | Ed25519PrivateKey
    if algorithm is Algorithm.RSA:
        private = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode(), _public_text(private)


def _public_text(private: RSAPrivateKey | Ed25519PrivateKey) -> str:
    if isinstance(private, RSAPrivateKey):
        octets = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        # The bare key, without the frame that says what it is (RFC 8463 §4).
        octets = private.public_key().public_bytes_raw()
    return base64.b64encode(octets).decode()


def read_key(domain: str, selector: str, pem: str) -> SigningKey:
    """Return the key that `new_key` has written.

    Raises:
        ValueError: It is no key of these kinds.
    """
    private = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("This is no key for signing.")  # noqa: TRY004 (its text is wrong, not its type)
    return SigningKey(domain, selector, private)


def record_text(algorithm: Algorithm, public: str) -> str:
    """Return what stands in the DNS under the selector of a key (RFC 6376 §3.6.1)."""
    return f"v=DKIM1; k={algorithm}; p={public}"


def record_name(selector: str, domain: str) -> str:
    """Return where it stands."""
    return f"{selector}._domainkey.{domain}"


@dataclass(frozen=True, slots=True)
class Signer:
    """Puts the signatures of a domain above a message.

    They carry no moment: the same message signed by the same key is the same, octet for octet.
    """

    keys: Sequence[SigningKey]

    def __call__(self, message: bytes) -> bytes:
        """Return a message with one signature for each key; every line of it must end with CRLF."""
        head, _, body = message.partition(b"\r\n\r\n")
        signed = _chosen_fields(_FIELD_END.split(head))
        names = b":".join(name for name, _ in signed).decode()
        digest = hashlib.sha256()
        for _, canonical in signed:
            digest.update(canonical)
        bodyhash = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        above = [_signature(key, names, bodyhash, digest.copy()) for key in self.keys]
        return b"".join([*above, message])


def _signature(key: SigningKey, names: str, bodyhash: str, digest: hashlib._Hash) -> bytes:
    """Return the field with the signature of one key, with its line end."""
    written = "\r\n".join(
        [
            f"DKIM-Signature: v=1; a={key.algorithm}-sha256; c=relaxed/relaxed;",
            f" d={key.domain};",
            f" s={key.selector};",
            *_folded("h=", re.findall(r"[^:]+:?", names)),
            f" bh={bodyhash};",
            " b=",
        ]
    )
    # The field is signed with the others, as if its own value were empty and without a line end (RFC 6376 §3.7).
    digest.update(_relaxed_field(written.encode())[1][:-2])
    if isinstance(key.private, RSAPrivateKey):
        made = key.private.sign(digest.digest(), PKCS1v15(), _PREHASHED)
    else:
        made = key.private.sign(digest.digest())  # of the hash, and not of what was hashed (RFC 8463 §3)
    text = base64.b64encode(made).decode()
    pieces = [text[start : start + _FOLDED] for start in range(0, len(text), _FOLDED)]
    return (written + "\r\n ".join(pieces) + "\r\n").encode()


def _folded(begin: str, words: Iterable[str]) -> list[str]:
    lines = [f" {begin}"]
    for word in words:
        if len(lines[-1]) + len(word) > _FOLDED:
            lines.append(" ")
        lines[-1] += word
    lines[-1] += ";"
    return lines


def _chosen_fields(fields: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the name and the canonical form of what is signed, in order; "" for one that is not there.

    Of several fields of a name the last one comes first (RFC 6376 §5.4.2).
    """
    there: dict[bytes, list[bytes]] = {}
    for one in fields:
        name, canonical = _relaxed_field(one)
        there.setdefault(name, []).insert(0, canonical)
    chosen = [(name, canonical) for name in (*_OVERSIGNED, *_SIGNED) for canonical in there.get(name, ())]
    return chosen + [(name, b"") for name in _OVERSIGNED]


def _relaxed_field(text: bytes) -> tuple[bytes, bytes]:
    """Return the name of a field in lower case, and the field as RFC 6376 §3.4.2 has it signed."""
    name, _, value = text.partition(b":")
    name = name.rstrip(b" \t").lower()
    value = _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name, name + b":" + value + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    """Return the text as RFC 6376 §3.4.4 has it signed."""
    # By whole-text replacements: a mail with files has ten thousands of lines, nearly all without a blank.
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ")
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n" if end else b""
