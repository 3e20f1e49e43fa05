"""The header that every document shares, its kinds, its PDF."""
