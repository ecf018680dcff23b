"""Commands for tests of configurations: `factflow test`, and the recording of a run as a test.

The only part of the command that imports the testing kit, and only when it is called.
"""
