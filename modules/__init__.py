"""The modules that come with Envoi; others install beside them by the entry point `envoi.modules`."""
