"""Delivering: claims, the PDF, the route, the dialogue, outcomes, and the sweep that forgets nothing."""
