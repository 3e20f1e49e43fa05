"""Documents handed over otherwise: by post, at the counter, by a portal, on the telephone."""
