"""The `factflow` command: one module a command, loaded when it is called for.

Kept above everything else: it builds through `factflow_engine.app`, prints, and decides exit statuses. Nothing imports it.
"""

from factflow_engine.cli.root import main

__all__ = ["main"]
