"""One running pipeline: manager -> orchestrator -> route processor -> route, and the loop that carries messages.

`loop.py` is where a message's life is; everything else prepares for it or reports on it.
"""
