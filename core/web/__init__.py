"""What pages share: forms, menu, slots, developer mode, lists, error pages, formats."""
