"""The base of tests, for Envoi and for modules written for it: fixtures, conformance suite, test servers."""
