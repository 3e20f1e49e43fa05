"""What the installation knows of itself: whether its database is the one that it has worked with."""
