"""`envoi module new`: a folder with a whole module, to begin with."""
