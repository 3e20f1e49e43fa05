"""Mail templates: what they hold, which applies, their history, and templates as files."""
