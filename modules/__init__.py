"""The modules that come with Envoi; others install beside them by the entry point `envoi.modules`."""

DISTRIBUTION = "envoi"  # other projects have a package of this name as well
