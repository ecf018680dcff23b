"""`kill -9` at random instants of processes that run an execution on one file: nothing accepted is lost."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_execution_program.py")


def judged(path: Path, kills: int, durability: str) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    command = [sys.executable, str(PROGRAM), str(path), str(kills), str(seed), durability]
    paths = os.pathsep.join([str(PROGRAM.parents[1]), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    print(account)
    assert account["kills"] >= kills
    assert account["accepted"], "the processes lived too briefly to be told anything"
    assert not account["surprises"], account["surprises"]
    assert account["status"] == "completed"
    counts = ("lost", "spurious", "twice_with_other_ids", "changed")
    assert {name: account[name] for name in counts} == dict.fromkeys(counts, 0)


def test_a_few_kills_of_an_execution(tmp_path):
    judged(tmp_path / "q.db", 5, "process")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
def test_two_hundred_kills_of_an_execution(tmp_path, durability):
    judged(tmp_path / "q.db", 210, durability)
