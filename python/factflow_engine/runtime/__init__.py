"""Runtime of one pipeline: manager -> orchestrator -> route processor -> route, and the loop that carries messages.

`hop` processes messages; `execution` starts and ends a run, `transport` connects queues, `stages` calls adapters.
"""
