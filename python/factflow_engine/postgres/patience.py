"""Connection that gives up a server which says nothing for too long.

libpq waits for ever, and TCP notices only a machine that is gone: of a server that is stopped, or stuck on its disk, the
kernel still answers. Kept separate from `blocking` because it is all that knows how psycopg waits: between two looks at
the socket, of a tenth of a second each, it resumes its generator without anything to read.
"""

from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

V = TypeVar("V")

_LOOK_SECONDS: Final = 0.1


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """Connection whose statements end with an error, and the connection with them, when nothing comes for a while.

    Silence is counted in looks at the socket: time for which this process itself did not run does not count.

    Attributes:
        silence_seconds: Longest silence; None for any length.
        was_silent: True if a silence was longer; the connection is closed.
    """

    silence_seconds: float | None = None
    was_silent: bool = False

    def wait(self, gen: PQGen[V], interval: float = _LOOK_SECONDS, timeout: float | None = None) -> V:  # noqa: ARG002 - psycopg gives none here
        """See `psycopg.Connection.wait`."""
        if self.silence_seconds is None:
            return super().wait(gen, interval)
        return super().wait(self._counted(gen, self.silence_seconds), _LOOK_SECONDS)

    def _counted(self, gen: PQGen[V], seconds: float) -> Generator[Any, Any, V]:
        left = looks = max(1, round(seconds / _LOOK_SECONDS))
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                left = looks if ready else left - 1
                if not left:
                    self.was_silent = True
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server said nothing for {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            value: V = end.value
            return value
        finally:
            gen.close()
