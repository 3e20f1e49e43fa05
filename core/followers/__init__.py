"""Who follows a document."""
