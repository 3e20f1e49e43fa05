"""Web hooks of relays: what a provider tells of mails that it has taken, signed, and let count as bounces do."""
