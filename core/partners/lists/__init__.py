"""Lists of customers to write to: chosen by criteria, picked by hand, kept under a name."""
