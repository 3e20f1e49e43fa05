"""After a restore: what waited in the copy, and which of it leaves."""
