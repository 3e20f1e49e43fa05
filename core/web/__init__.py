"""Building blocks of pages: forms, menu, slots, developer mode, lists, error pages, formats."""
