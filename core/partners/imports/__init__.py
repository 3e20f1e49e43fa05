"""Customers and contacts from a file: read, previewed, imported step by step, and undone."""
