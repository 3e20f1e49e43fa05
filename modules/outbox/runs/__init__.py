"""Many documents sent together: looked through before, written step by step, and told of afterwards."""
