"""For all tests: what the machine and the way in which they are started must not change."""

import signal

import pytest
from hypothesis import settings

# Examples of properties may take their time, for a busy machine's moods are no defects.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

# A shell starts what it runs in the background with Ctrl-C ignored, and programs hand that on to their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for all tests of a process (`support.postgres.Server`)."""
    from support.postgres import running  # imported late: most tests need no driver

    yield from running()
