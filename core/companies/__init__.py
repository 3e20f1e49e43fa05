"""The companies that documents are issued by."""
