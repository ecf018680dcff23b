"""The `factflow` command: one module a command, imported when the command is called.

Kept above everything else: it builds through `factflow_engine.app`, prints, and decides exit statuses. Nothing imports
it.
"""

from factflow_engine.cli.root import main

__all__ = ["main"]
