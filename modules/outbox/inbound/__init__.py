"""What comes back: bounces, receipts and complaints, from their octets to what the mails show."""
