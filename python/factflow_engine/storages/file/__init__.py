"""Object store in a folder: `file://./relative/folder` or `file:///absolute/folder`.

`storage` is the store, `location` reads its URL, `disk` has the system's calls, `folders` finds a key's folder,
`sidecar` reads and writes metadata, `writing` and `reading` hold the protocol that keeps an object and its metadata
together, `listing` walks, `leftovers` finds what killed writers left.
"""

from factflow_engine.storages.file.storage import FileStorage

__all__ = ["FileStorage"]
