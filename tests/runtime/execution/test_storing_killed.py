"""`kill -9` at random instants of processes that store: the objects are those of a run that nobody disturbed, byte for byte."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_storing_program.py")


def judged(folder: Path, kills: int, *, seconds: float) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    command = [sys.executable, str(PROGRAM), str(folder), str(kills), str(seed)]
    paths = os.pathsep.join([str(PROGRAM.parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=seconds)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    print(rounds)
    assert sum(each["kills"] for each in rounds) >= kills
    for each in rounds:
        assert not each["surprises"], each["surprises"]
        assert each["statuses"] == ["completed", "completed"]
        assert each["objects"]
        assert each["differing"] == []


def test_a_few_kills_of_an_execution_that_stores(tmp_path):
    judged(tmp_path, 3, seconds=100)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_fifty_kills_of_an_execution_that_stores(tmp_path):
    judged(tmp_path, 50, seconds=1_100)
