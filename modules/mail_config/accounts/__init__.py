"""Accounts at Google and Microsoft: who this installation is there, consents, and the tokens that come of them."""
