"""Keys of domains, and the signatures made by them (DKIM)."""
