"""`python -m core` is `envoi`."""

from core.cli import main

main()
