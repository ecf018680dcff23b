"""Object stores in buckets, over obstore: `s3://bucket/folder`, `gs://bucket/folder`, `az://container/folder`.

`storage` is the store, `location` reads its URL and makes obstore's client, `attributes` puts metadata into headers,
`calls` and `pages` have the blocking calls, `failures` maps obstore's errors.
"""

from factflow_engine.storages.bucket.storage import BucketStorage

__all__ = ["BucketStorage"]
