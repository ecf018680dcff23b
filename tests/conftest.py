"""For all tests: examples of properties may take their time, for a busy machine's moods are no defects."""

from hypothesis import settings

settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
