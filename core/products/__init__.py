"""Products and taxes; every module that sells uses the same ones."""
