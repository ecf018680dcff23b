"""Protection of a pipeline from failing or overloaded dependencies: trio around pure decisions.

`backpressure` limits the calls in flight to a dependency, `circuit_breaker` stops calling a failing one, `domain_metrics` keeps one breaker for each host (or other key);
the decisions themselves are made in Rust. `retry` decides whether and when a failed message is retried. Kept separate
from the runtime so that a program can use them by themselves. Each is imported on first use.
"""

from typing import TYPE_CHECKING, Any, Final

from factflow_engine.names import first_use

if TYPE_CHECKING:
    from factflow_engine.resilience.backpressure import BackpressureController, LimitedCall
    from factflow_engine.resilience.circuit_breaker import CircuitBreaker
    from factflow_engine.resilience.circuit_events import CircuitEvent, CircuitEvents
    from factflow_engine.resilience.circuit_settings import CircuitBreakerSection, CircuitBreakerSettings
    from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitReason, CircuitState
    from factflow_engine.resilience.circuit_stats import AdapterCircuitMetrics, CircuitStats, CircuitTotals
    from factflow_engine.resilience.domain_metrics import DomainMetrics
    from factflow_engine.resilience.error_classes import ErrorClasses, Verdict
    from factflow_engine.resilience.limit_statistics import LimitStatistics
    from factflow_engine.resilience.limits import LimitChange
    from factflow_engine.resilience.retry import DeferralPolicy, DeferralSection, RetryPolicy, RetrySection

_MODULES: Final = {
    "AdapterCircuitMetrics": "factflow_engine.resilience.circuit_stats",
    "BackpressureController": "factflow_engine.resilience.backpressure",
    "CircuitBreaker": "factflow_engine.resilience.circuit_breaker",
    "CircuitBreakerSection": "factflow_engine.resilience.circuit_settings",
    "CircuitBreakerSettings": "factflow_engine.resilience.circuit_settings",
    "CircuitEvent": "factflow_engine.resilience.circuit_events",
    "CircuitEventKind": "factflow_engine.resilience.circuit_state",
    "CircuitEvents": "factflow_engine.resilience.circuit_events",
    "CircuitReason": "factflow_engine.resilience.circuit_state",
    "CircuitState": "factflow_engine.resilience.circuit_state",
    "CircuitStats": "factflow_engine.resilience.circuit_stats",
    "CircuitTotals": "factflow_engine.resilience.circuit_stats",
    "DeferralPolicy": "factflow_engine.resilience.retry",
    "DeferralSection": "factflow_engine.resilience.retry",
    "DomainMetrics": "factflow_engine.resilience.domain_metrics",
    "ErrorClasses": "factflow_engine.resilience.error_classes",
    "LimitChange": "factflow_engine.resilience.limits",
    "LimitStatistics": "factflow_engine.resilience.limit_statistics",
    "LimitedCall": "factflow_engine.resilience.backpressure",
    "RetryPolicy": "factflow_engine.resilience.retry",
    "RetrySection": "factflow_engine.resilience.retry",
    "Verdict": "factflow_engine.resilience.error_classes",
}

__all__ = [
    "AdapterCircuitMetrics",
    "BackpressureController",
    "CircuitBreaker",
    "CircuitBreakerSection",
    "CircuitBreakerSettings",
    "CircuitEvent",
    "CircuitEventKind",
    "CircuitEvents",
    "CircuitReason",
    "CircuitState",
    "CircuitStats",
    "CircuitTotals",
    "DeferralPolicy",
    "DeferralSection",
    "DomainMetrics",
    "ErrorClasses",
    "LimitChange",
    "LimitStatistics",
    "LimitedCall",
    "RetryPolicy",
    "RetrySection",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    return first_use(name, namespace=globals(), modules=_MODULES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
