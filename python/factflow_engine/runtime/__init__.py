"""One running pipeline: manager -> orchestrator -> route processor -> route, and the loop that carries messages.

`hop` is where a message's life is; `execution` starts and ends it, `transport` leads to queues, `stages` calls adapters.
"""
