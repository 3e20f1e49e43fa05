"""The first day of an installation: its first administrator, its first company, and what is still missing."""
