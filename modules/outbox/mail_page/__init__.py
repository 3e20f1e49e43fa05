"""The page of one mail: what happened, why, and what can be done."""
