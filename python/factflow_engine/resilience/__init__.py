"""What keeps a failing or overloaded dependency from taking a pipeline with it: trio around pure decisions.

`circuit_breaker` stops calling what keeps failing, `domain_metrics` keeps one breaker for each host (or other key);
the decisions themselves are made in Rust. Apart from the runtime so that a program can use them by themselves.
"""

from factflow_engine.resilience.circuit_breaker import CircuitBreaker
from factflow_engine.resilience.circuit_events import CircuitEvent, CircuitEvents
from factflow_engine.resilience.circuit_settings import CircuitBreakerSection, CircuitBreakerSettings
from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitReason, CircuitState
from factflow_engine.resilience.circuit_stats import AdapterCircuitMetrics, CircuitStats, CircuitTotals
from factflow_engine.resilience.domain_metrics import DomainMetrics
from factflow_engine.resilience.error_classes import ErrorClasses, Verdict

__all__ = [
    "AdapterCircuitMetrics",
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
    "DomainMetrics",
    "ErrorClasses",
    "Verdict",
]
