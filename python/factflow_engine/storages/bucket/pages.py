"""Pages of the names in a bucket that begin with a prefix, asked for one after another.

Kept separate from the other calls because it has a state: the place in the listing.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import ObjectStore

if TYPE_CHECKING:  # obstore has it for checkers alone
    from obstore import ObjectMeta

_PAGE: Final = 1000


class Pages:
    """Place in the listing of a bucket."""

    def __init__(self, client: ObjectStore, prefix: str) -> None:
        """Begin before the first name."""
        self._client = client
        self._prefix = prefix
        self._pages: Iterator[Sequence[ObjectMeta]] | None = None

    def next(self) -> list[tuple[str, float]]:
        """Return the next names, each with the time of its last change in seconds since the epoch; none at the end."""
        if self._pages is None:
            # obstore's prefix is whole parts: names before the wanted beginning are left out by an offset.
            folder, _, beginning = self._prefix.rpartition("/")
            offset = self._prefix[:-1] if len(beginning) > 1 else None
            self._pages = iter(obstore.list(self._client, prefix=folder or None, offset=offset, chunk_size=_PAGE))
        for page in self._pages:
            wanted = [
                (each["path"], each["last_modified"].timestamp())
                for each in page
                if each["path"].startswith(self._prefix)
            ]
            if page and page[-1]["path"] > self._prefix and not page[-1]["path"].startswith(self._prefix):
                self._pages = iter(())  # names come in order: there is none behind this page
            if wanted:
                return wanted
        return []
