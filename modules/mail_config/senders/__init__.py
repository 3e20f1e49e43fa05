"""Who mails are from, where answers go, and which server they leave by."""
