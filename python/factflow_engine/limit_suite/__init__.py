"""Comparison of concurrency limits: each algorithm in each scenario, beside an oracle that knows the server.

`suite` runs it and has its result, `contenders` reads which algorithms are meant, `scenario_file` a program's own
scenarios, `recordings` recorded latencies, `page` draws. Nothing of the engine imports it: it is for `factflow bench limits`
and for programs that compare algorithms of their own.
"""
