"""Running a program of `bench.programs` in a process of its own.

Kept separate from the package `bench.programs` because each program imports that, and some measure what imports cost.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from bench.record import ROOT


def run_program(program: str, *arguments: str) -> Mapping[str, float]:
    """Return the figures that a program of `bench.programs` prints, as JSON.

    The first run, which is thrown away, leaves compiled modules to the others, whatever the environment says: an
    installed package has them, and compiling ours takes longer than importing it.
    """
    run = subprocess.run(
        [sys.executable, "-m", f"bench.programs.{program}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )
    figures: dict[str, float] = json.loads(run.stdout)
    return figures
