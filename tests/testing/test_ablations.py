"""Safeguards that are switched off are noticed, in the seeds and at the size that the page says."""

from pathlib import Path

import pytest

from testing.ablations import ABLATIONS, HELD_ELSEWHERE, found, row

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "ablations.md").read_text(encoding="utf-8")
LONG = {
    "acknowledged first",
    "ids by counter",
    "cancelled is failed",
    "states not stored",
    "randomness without a seed",
}
EACH = [pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.name in LONG else []) for one in ABLATIONS]


@pytest.mark.parametrize("ablation", EACH)
def test_a_safeguard_that_is_off_is_noticed_as_the_page_says(ablation):
    result = found(ablation)
    assert result is not None
    assert result.inputs + result.faults + result.decisions <= 5
    assert row(ablation, result) in PAGE.splitlines(), "write the page with: python docs/ablations.py"


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda one: one.name)
def test_with_the_safeguard_the_campaign_passes(ablation):
    ablation.campaign(range(10)).check()


def test_the_page_has_a_row_for_each():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| guarantee")]
    assert len(rows) == len(ABLATIONS) + len(HELD_ELSEWHERE)
    for one in ABLATIONS:
        assert f"| {one.removed} |" in PAGE
    for _, safeguard, test in HELD_ELSEWHERE:
        assert f"| {safeguard} | `{test}` |" in PAGE
        assert (ROOT / test).exists()
    assert {one.guarantee for one in ABLATIONS} | {number for number, _, _ in HELD_ELSEWHERE} == set(range(1, 10))
