"""Transports of frames between routes and the outside: in memory, or through a durable provider.

- `base`: the protocols of a transport and its channels, with their invariants; `resumption`: those of a start and of stored
  states.
- `choice`: the decision between the two transports, made once.
- `memory`: routes work on the provider's own channels.
- `durable`: channels that are connected with an external provider; `durable_channels` makes them, `connection` maintains
  subscriptions.
- `links`: all receivers and senders; `receiver` fills a route's channel, `sender` empties one into the provider, `flush`
  publishes what a route has emitted with its acknowledgements.
- `subscriptions`: outside consumers, whose subscriptions end with the execution.
- `starts`: init messages, published exactly once whenever the process dies.
- `states`: stored states of an execution's stages; `route_states` stores a route's with its acknowledgements, `shapes`
  tells if two processes may share a state.
- `scoped_queue`: a provider with the names of one execution.
- `frame_factory`: frames of messages without a parent.

Kept separate from `hop`, which works on channels in memory, wherever their frames come from.
"""
