"""The command line in a process of its own, in a folder, without the variables of whoever runs the tests."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

COMMAND = [sys.executable, "-c", "from factflow_engine.cli import main; main()"]


def environment(**more):
    hidden = {"FACTFLOW_HOME", "COLUMNS", "FORCE_COLOR"}
    return {**{name: value for name, value in os.environ.items() if name not in hidden}, **more}


def factflow(folder, *words, **variables):
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def started(folder, *words, **variables):
    """Start a command."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def let_leases_run_out(home):
    """Do to the leases of a home's executions what fifteen seconds would do."""
    with closing(sqlite3.connect(home / "executions.db", timeout=30)) as connection, connection:
        connection.execute("UPDATE execution SET lease_ns = 0 WHERE status = 'running'")
