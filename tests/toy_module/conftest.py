# The toy's own tests need it installed: tests/conformance/test_toy_module.py builds a copy and runs them there.
collect_ignore = ["tests"]
