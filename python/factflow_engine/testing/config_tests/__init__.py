"""Tests of configurations: YAML beside a pipeline says what comes in, how stages answer, and what must come out.

`factflow test` runs them on the whole engine in virtual time; `factflow run --record` writes one of a run. `reading` and
`suites` check a file, `running` runs it, `expectations` compares, `coverage` and `junit` report, `recording` writes.
"""
