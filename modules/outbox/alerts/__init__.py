"""Telling people of failures: by the bell, on a page, and by mail."""
