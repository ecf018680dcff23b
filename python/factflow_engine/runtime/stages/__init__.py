"""One stage of a route: its adapter, the time limits and breakers around its call, its opening and closing.

Kept below `hop`, which calls stages and knows nothing of adapters.
"""
