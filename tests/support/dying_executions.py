"""Processes of one execution on SQLite, in a folder of their own, that are killed, drained or cancelled on the way."""

import os
import sqlite3
import subprocess
from pathlib import Path

GRACE = {"drain": "5", "hasty": "0.05"}
GATHERING = """\
import os, pathlib
import trio

FOLDER, PROCESSES = pathlib.Path("joined"), int(os.environ.get("TOGETHER", "1"))

async def all_here():
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / str(os.getpid())).touch()
    while len(os.listdir(FOLDER)) < PROCESSES:
        await trio.sleep(0.01)
"""
"""A module for the adapters: `await all_here()` in process() holds messages until each process of a start has some."""


class DyingExecutions:
    """One execution, started again until it has completed.

    Args:
        folder: Holds `p.yaml`, `q.db` and what the pipeline writes.
        command: Runs it; `DIE=HOW AT` in the environment says how a process ends, and after how many messages.
        last: The file that appears when the execution completes.
        keeps_output: True if what is printed is kept, in `stdout`.
    """

    def __init__(self, folder, command, *, last, keeps_output=False):
        self.folder, self.command, self.last, self.keeps_output = folder, command, last, keeps_output
        (folder / "gathering.py").write_text(GATHERING)

    def run_together(self, *deaths):
        """Run several to their ends; none handles a message before each has one.

        One that came after the others' end would begin a new execution, which ends after those are compared.
        """
        for process in [self.start(how, at, together=len(deaths)) for how, at in deaths]:
            process.wait(120)

    def start(self, how="never", at=0, *, together=1):
        """Start one that is killed, drained or cancelled when it has handled so many messages."""
        output = self.folder / "stdout" if self.keeps_output else Path(os.devnull)
        with output.open("ab") as out, (self.folder / "stderr").open("ab") as errors:
            return subprocess.Popen(
                [*self.command, "--drain-timeout", GRACE.get(how, "0")],
                cwd=self.folder,
                env=dict(os.environ, DIE=f"{how} {at}", TOGETHER=str(together)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    @property
    def are_complete(self):
        """True if everything was said and forgotten: one more process would begin a new execution."""
        if not (self.folder / self.last).exists():
            return False
        connection = sqlite3.connect(self.folder / "q.db", timeout=30)
        try:
            return connection.execute("SELECT count(*) FROM stage_state").fetchone() == (0,)
        finally:
            connection.close()

    def complete(self):
        """Run until one has completed."""
        statuses = []
        while not self.are_complete:
            assert len(statuses) < 10, f"it never completes: {statuses}\n{(self.folder / 'stderr').read_text()[-3000:]}"
            statuses.append(self.start().wait(120))
