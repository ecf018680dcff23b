"""One execution from its start to its report: the object that users hold, and what decides when it ends.

Kept above `transport` and `hop`, which know frames and routes, and no execution.
"""
