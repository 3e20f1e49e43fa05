"""Composing a mail about a document: recipients, text, files, checks, and what is kept meanwhile."""
