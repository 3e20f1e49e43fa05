"""What comes back is read."""
