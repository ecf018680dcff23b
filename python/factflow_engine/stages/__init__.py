"""Storage of what stages make: keys, contents and metadata of their objects.

- `keys`: keys of objects, by execution, route, stage and message.
- `content`: the bytes of an object, and the message read back from them.
- `fields`: declared metadata, read from messages and checked.
- `writer`: writes one message of one stage; `result` says what was written.
- `scoped_storage`: an object store below an execution's own prefix.
- `sections`: fields that several configuration models share.
- `embedding`: metadata of embeddings.

Nothing is imported here, so that a program pays only for what it uses.
"""
