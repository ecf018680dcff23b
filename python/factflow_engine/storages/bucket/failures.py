"""The one table of obstore's errors: what they mean for an object, in one line without secrets.

Kept separate from the calls because obstore's texts are pages long, and may show signed URLs.
"""

import re
from typing import Final

from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

from factflow_engine.error_texts import bounded, error_text
from factflow_protocols import StorageError, StorageNotFoundError

_QUERY: Final = re.compile(r"\?[^\s)\"']*")
"""Queries of URLs, in which signatures are."""

_ANSWER_CODE: Final = re.compile(r"<Code>(\w+)</Code>")


def storage_error(key: str, error: Exception, *, is_read: bool) -> StorageError:
    """Return the error of an object for one of obstore's, or of the system's while an upload is held on disk.

    Args:
        key: Key of the object.
        error: The error.
        is_read: True if a missing thing can only be the object, unless the answer says that it is the bucket.
    """
    text = text_of(error)
    if isinstance(error, FileNotFoundError):
        if "NoSuchBucket" in str(error) or not is_read:
            return StorageError(key, "its bucket does not exist; make it, or write another URL")
        return StorageNotFoundError(key)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return StorageError(key, f"the credentials in the environment do not allow this: {text}")
    if isinstance(error, PreconditionError):
        return StorageError(key, "was replaced while it was being read; read it again")
    if "BadScheme" in str(error):
        return StorageError(
            key,
            "its endpoint is http://, which is refused by default; set AWS_ALLOW_HTTP=true if the network is trusted",
        )
    if "NoSuchBucket" in str(error):
        return StorageError(key, "its bucket does not exist; make it, or write another URL")
    return StorageError(key, text)


def text_of(error: Exception) -> str:
    """Return an error's text in one line, without the queries of its URLs."""
    said = error_text(error)
    code = _ANSWER_CODE.search(said)
    first = said.partition("\n")[0].partition("<?xml")[0].strip().removesuffix(":")
    return bounded(_QUERY.sub("?...", first), 500) + (f" ({code[1]})" if code else "")
