"""What holds for all tests: how long an example takes is no failure."""

from hypothesis import settings

settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
