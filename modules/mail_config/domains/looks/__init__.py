"""The looks of a check, one topic each: what is asked of the DNS, and what is said of the answers."""
