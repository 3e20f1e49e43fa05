"""Followers of documents: the customer, its contacts, colleagues."""
