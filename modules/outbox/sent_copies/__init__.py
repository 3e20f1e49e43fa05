"""Copies of mails that a server has accepted, put into the Sent folder of its account."""
