"""Record of what a stage's calls took, for who replays them (`factflow run --record-latency`).

Kept separate from the time limits around it because it decides nothing. A stage of an execution that records nothing
pays nothing.
"""

from __future__ import annotations

from factflow_engine.error_texts import is_a
from factflow_engine.native import MessageContext
from factflow_engine.resilience.overload import is_overload
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_engine.runtime.stages.timeouts import StageCall
from factflow_engine.seams import CallRecords, Clock
from factflow_protocols import AdapterResult, CircuitOpenError, StageInfo


def recorded(call: StageCall, info: StageInfo, calls: CallRecords, clock: Clock) -> StageCall:
    """Return a call whose end is recorded as a limit's sample: `Overloaded` as dropped, all other failures as answers.

    Nothing is recorded of a call that was cancelled, or that a circuit breaker refused: it says nothing of the dependency.
    """
    in_flight = 0

    async def timed(context: MessageContext) -> AdapterResult | None:
        nonlocal in_flight
        in_flight += 1
        beside, start_ns, dropped = in_flight, clock.monotonic_ns(), None
        try:
            result = await call(context)
            dropped = False
        except Exception as error:
            if not is_a(error, CircuitOpenError):
                dropped = is_overload(error)
            raise
        finally:
            in_flight -= 1
            if dropped is not None and not is_cancelled():
                duration_ns = max(1, clock.monotonic_ns() - start_ns)
                calls.ended(info.route, info.stage, start_ns, duration_ns, beside, dropped)
        return result

    return timed
