"""What is kept of mails and people, for how long, and how it is exported and erased."""
