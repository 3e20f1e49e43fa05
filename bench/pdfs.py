"""The files of a bench; it imports nothing, since the rivals pay for what they load."""

from __future__ import annotations


def own_pdf(pdf: bytes, number: int) -> bytes:
    """Return a PDF that no other mail has: no two documents have the same, so nothing is encoded once for all."""
    return pdf + f"\n%{number}".encode()
