"""The run of a fuzz target sees what is wrong: an exception, a slow input; and makes it small."""

import pytest

from fuzz import campaign as subject
from fuzz.campaign import FuzzError, Target, campaign


def test_a_failure_is_found_made_small_and_printed_with_its_seed(monkeypatch):
    monkeypatch.setenv("FUZZ_SEED", "5")
    monkeypatch.delenv("FUZZ_SECONDS", raising=False)

    def check(data):
        assert b"!x" not in data
        return len(data)

    with pytest.raises(FuzzError, match=r"^planted: b'!x' \(seed 5\): AssertionError"):
        campaign(Target(name="planted", check=check, seeds=[b"a text", b"another!"], words=[b"x"]), 20)


def test_an_input_that_takes_too_long_is_a_failure(monkeypatch):
    monkeypatch.setattr(subject, "SLOWEST_SECONDS", 0.0)
    with pytest.raises(FuzzError, match="TimeoutError"):
        campaign(Target(name="slow", check=len, seeds=[b"a"]), 1)


def test_inputs_that_failed_once_are_run_first(monkeypatch, tmp_path):
    monkeypatch.setattr(subject, "REGRESSIONS", tmp_path)
    (tmp_path / "kept.txt").write_text("# a comment\nb'\\xff'\n")
    seen = []
    monkeypatch.setenv("FUZZ_SECONDS", "0")
    campaign(Target(name="kept", check=seen.append, seeds=[b"a"]), 1)
    assert seen == [b"\xff", b"a"]
