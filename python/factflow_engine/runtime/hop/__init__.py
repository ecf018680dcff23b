"""The way of a message through one route; the twin of `rust/bindings/src/hop`.

`loop` carries messages, `route_state` is what it knows of a route, `settlement` ends attempts.
"""
