"""Parsing of bucket URLs, and the client of obstore for each scheme.

Kept separate from the store because this is the one place that imports obstore's clients. Credentials and endpoints
come from the environment, as obstore reads them (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_APPLICATION_CREDENTIALS`,
`AZURE_STORAGE_ACCOUNT_NAME`, ...), never from a URL.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from factflow_engine.storages.bucket.failures import text_of
from factflow_engine.storages.keys import key_problem
from factflow_protocols import StorageUrlError

_LONGEST_FOLDER_BYTES: Final = 80
"""Longest folder of a URL: with the longest key and the ending of a sidecar it fits what buckets take."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")

_CLIENTS: Final[dict[str, Callable[..., ObjectStore]]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

# A thread's work cannot be abandoned: a cancelled call waits for these retries.
# No `client_options`: they would hide those of the environment, such as `AWS_ALLOW_HTTP`; a request has 30 s by default.
_OPTIONS: Final[dict[str, Any]] = {"retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}}


def client_of(url: str) -> ObjectStore:
    """Return obstore's client for a URL. Nothing is sent yet.

    Raises:
        StorageUrlError: The URL is malformed, or the environment lacks what its scheme needs.
    """
    scheme, _, location = url.partition("://")
    if scheme not in _CLIENTS:
        raise StorageUrlError(url, f"expected one of {', '.join(f'{each}://bucket/folder' for each in _CLIENTS)}")
    if "@" in location.partition("/")[0]:
        raise StorageUrlError(url, "has credentials; put them into the environment, where nothing prints them")
    for mark in "?#":
        if mark in location:
            raise StorageUrlError(
                url, f"has a {mark!r}; a store has no options: endpoint and region come from the environment"
            )
    bucket, _, folder = location.partition("/")
    folder = folder.removesuffix("/")
    if not _BUCKET.fullmatch(bucket):
        raise StorageUrlError(
            url,
            f"expected the name of a bucket, 3 or more of a-z, 0-9, '-', '_' and '.', got {bucket!r}; write {scheme}://bucket/folder",
        )
    problem = key_problem(folder) if folder else ""
    if problem or len(folder.encode()) > _LONGEST_FOLDER_BYTES:
        raise StorageUrlError(
            url, f"its folder cannot be one: {problem or f'it has more than {_LONGEST_FOLDER_BYTES} bytes'}"
        )
    try:
        return _CLIENTS[scheme](bucket, prefix=folder or None, **_OPTIONS)
    except Exception as error:
        raise StorageUrlError(url, f"its client cannot be made: {text_of(error)}") from error
