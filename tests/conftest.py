"""For all tests: what the machine and the way in which they are started must not change."""

import signal

from hypothesis import settings

# Examples of properties may take their time, for a busy machine's moods are no defects.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

# A shell starts what it runs in the background with Ctrl-C ignored, and programs hand that on to their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
