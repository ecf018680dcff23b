"""Parameters of a breaker: bounds, defaults, and the configuration's section."""

import dataclasses

import pytest

from factflow_engine.config import CircuitBreakerConfig
from factflow_engine.resilience import CircuitBreakerSettings


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("failure_rate_threshold", 0.0),
        ("failure_rate_threshold", 100.5),
        ("failure_rate_threshold", float("nan")),
        ("slow_call_rate_threshold", -1.0),
        ("slow_call_duration_seconds", 0.0),
        ("slow_call_duration_seconds", float("inf")),
        ("sliding_window_type", "calls"),
        ("sliding_window_size", 0),
        ("sliding_window_size", -1),
        ("sliding_window_size", 1 << 40),
        ("minimum_calls", 0),
        ("wait_duration_seconds", 0.0001),
        ("wait_multiplier", 0.5),
        ("max_wait_duration_seconds", 1.0),
        ("wait_jitter", 2.0),
        ("permitted_calls_in_half_open", 0),
        ("max_half_open_seconds", 0.0),
        ("after_half_open", "half_open"),
        ("half_open_lease_seconds", 0.0),
        ("half_open_lease_seconds", -1.0),
        ("retry_after", "never"),
        ("max_retry_after_seconds", float("nan")),
        ("max_retry_after_seconds", 1e300),
    ],
)
def test_a_parameter_outside_its_bounds_is_named(parameter, value):
    with pytest.raises(ValueError, match=r"expected .*, (came|got)") as caught:
        CircuitBreakerSettings(**{parameter: value})
    assert parameter.removesuffix("_seconds") in str(caught.value)


@pytest.mark.parametrize("parameter", ["record_errors", "ignore_errors"])
def test_one_name_is_not_taken_for_its_letters(parameter):
    with pytest.raises(ValueError, match=r"write \['OSError'\]"):
        CircuitBreakerSettings(**{parameter: "OSError"})


def test_a_section_has_the_same_defaults():
    assert CircuitBreakerSettings.of(CircuitBreakerConfig()) == CircuitBreakerSettings()


def test_every_field_of_a_section_arrives():
    """Of those that a breaker has: the key chooses among breakers, and there are so many."""
    given = {
        "failure_rate_threshold": 10.0,
        "slow_call_rate_threshold": 20.0,
        "slow_call_duration_seconds": 30.0,
        "sliding_window_type": "time",
        "sliding_window_size": 40,
        "minimum_calls": 5,
        "wait_duration_seconds": 6.0,
        "wait_multiplier": 7.0,
        "max_wait_duration_seconds": 80.0,
        "wait_jitter": 0.5,
        "retry_after": "open",
        "max_retry_after_seconds": 90.0,
        "automatic_half_open": True,
        "permitted_calls_in_half_open": 9,
        "max_half_open_seconds": 10.0,
        "after_half_open": "closed",
        "half_open_lease_seconds": 11.0,
        "record_errors": ("A",),
        "ignore_errors": ("B",),
    }
    assert given.keys() == CircuitBreakerConfig.model_fields.keys() - {"key", "max_keys"}
    settings = CircuitBreakerSettings.of(CircuitBreakerConfig(**given))
    assert {name: getattr(settings, name) for name in given} == given
    assert CircuitBreakerSettings.of(settings) is settings


BOUNDS = {
    name: [
        bound
        for item in field.metadata
        for bound in (getattr(item, "ge", None), getattr(item, "le", None))
        if bound is not None
    ]
    for name, field in CircuitBreakerConfig.model_fields.items()
    if field.annotation in (int, float, float | None) and name != "max_keys"
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bounds in BOUNDS.items() for value in bounds])
def test_what_a_section_accepts_can_be_built(name, value):
    assert len(BOUNDS[name]) == 2, "it is bounded on both sides, and the bounds belong to it"
    waits = {"max_wait_duration_seconds": 86_400.0} if name == "wait_duration_seconds" else {}
    if name == "max_wait_duration_seconds":
        waits = {"wait_duration_seconds": value if value < 5 else 5.0}
    settings = CircuitBreakerSettings.of(CircuitBreakerConfig(**waits, **{name: value}))
    assert getattr(settings, name) == value


def test_settings_are_values():
    settings = CircuitBreakerSettings(minimum_calls=7)
    assert settings == CircuitBreakerSettings(minimum_calls=7)
    assert dataclasses.replace(settings, minimum_calls=8) == CircuitBreakerSettings(minimum_calls=8)
    assert "minimum_calls=7" in repr(settings)
    assert "native" not in repr(settings)
