"""Products from a file."""
