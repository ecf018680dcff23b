"""`kill -9` at random instants of two processes on one file: nothing accepted is lost, nothing settled comes back."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_program.py")


def killed(path: Path, kills: int, durability: str) -> dict[str, object]:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    command = [sys.executable, str(PROGRAM), str(path), str(kills), str(seed), durability]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def judge(account: dict[str, object], kills: int) -> None:
    print(account)
    assert account["kills"] >= kills
    assert account["accepted"], "the workers lived too briefly to be told anything"
    assert account["settled"]
    assert not account["surprises"], account["surprises"]
    counts = ("lost", "spurious", "twice", "settled_and_back")
    assert {name: account[name] for name in counts} == dict.fromkeys(counts, 0)
    assert account["problems"] == []


def test_a_few_kills(tmp_path):
    judge(killed(tmp_path / "q.db", 6, "process"), 6)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
def test_two_hundred_kills(tmp_path, durability):
    judge(killed(tmp_path / "q.db", 220, durability), 200)
