"""Rows from a file: read, matched with what there is, looked at, imported, and taken back; of whatever subject."""
