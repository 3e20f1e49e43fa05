"""What is sold, and the taxes on it; every module that sells uses the same products."""
