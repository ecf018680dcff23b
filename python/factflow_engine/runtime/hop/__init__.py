"""What a message goes through on one route; the twin of `rust/bindings/src/hop`.

`loop` carries messages, `route_state` is what it knows of a route, `settlement` ends attempts.
"""
