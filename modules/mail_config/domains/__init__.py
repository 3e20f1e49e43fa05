"""Whether the emails of a domain are believed: what stands about it in the DNS, and what should."""
