"""Templates made from the text of a mail, and from those of older systems."""
