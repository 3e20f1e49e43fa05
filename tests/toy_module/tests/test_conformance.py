from core.testing.conformance import *  # noqa: F403


class TestToy(ModuleConformance):  # noqa: F405
    module_name = "toy"
