import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedding.py"


def test_the_example_runs_as_a_program_and_says_how_its_messages_ended():
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first == "WORLD"
    status, *outcomes = last.split()
    assert status == "completed"
    assert {outcome for outcome in outcomes if not outcome.endswith("=0")} == {"completed=2", "filtered=1"}


def test_the_example_is_short_enough_to_read_at_once():
    assert len(EXAMPLE.read_text().splitlines()) < 40
