"""The verbs of the till: registers, sessions, cashiers, tickets."""
