"""Errors of PostgreSQL stores; each store raises them as its own protocol's.

Kept separate from connections because a URL can be wrong before the driver is imported.
"""

from factflow_protocols import FactflowError, without_password


class PostgresUrlError(FactflowError, ValueError):
    """Whoever wrote the URL of a PostgreSQL store must change it.

    Attributes:
        url: The URL without its password.
        problem: The expected value, and the one found.
    """

    def __init__(self, url: str, problem: str) -> None:
        self.url = without_password(url)
        self.problem = problem
        super().__init__(f"PostgreSQL URL {self.url!r}: {problem}")


class PostgresError(FactflowError):
    """Failure of the server, of the way to it, or of what was asked of it; the driver's exception is chained.

    Attributes:
        place: Server and database.
        code: SQLSTATE, or None if the server did not answer.
    """

    def __init__(self, place: str, problem: str, code: str | None = None) -> None:
        self.place = place
        self.code = code
        super().__init__(f"PostgreSQL at {place}: {problem}")
