"""The list of mails: filters, counts, rows, and actions on many."""
