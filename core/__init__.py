"""The platform of Envoi; it knows no module."""

DISTRIBUTION = "envoi"  # other projects have a package of this name as well

__version__ = "0.1.0"
