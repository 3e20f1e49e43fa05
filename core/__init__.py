"""The platform of Envoi; it knows no module."""

__version__ = "0.1.0"
