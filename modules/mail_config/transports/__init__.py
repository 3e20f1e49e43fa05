"""The only place that opens a connection to a mail provider."""
