"""Fuzz targets of what reads text and bytes of strangers, a second each; a minute each in `make test-slow`."""

import pytest

from fuzz import conditions, frames, loader, plans
from fuzz.campaign import campaign

TARGETS = [conditions.TARGET, frames.TARGET, loader.TARGET, plans.TARGET]


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_goes_wrong(target, seconds):
    campaign(target, seconds)
