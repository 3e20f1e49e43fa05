"""Opting out of what advertises, by whoever has got it."""
