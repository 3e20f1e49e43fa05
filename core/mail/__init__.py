"""The words of mail: addresses, drafts, outcomes. Nothing here does I/O or reads a global."""
