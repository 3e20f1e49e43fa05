"""Rows from one database to a folder, from a folder to a database, and from one database to another.

One mechanism for backups and for moving from SQLite to PostgreSQL and back: rows go as values that mean the same on
both, and are counted and summed up on both sides, so that a difference is noticed before anything counts.
"""
