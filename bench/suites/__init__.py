"""One module a suite: lists of cases, built on demand so that a suite imports only what it compares with."""
