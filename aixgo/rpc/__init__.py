"""The wire: what crosses between two runtimes, and the only package that imports grpc and `aixgo.v1`.

`base` holds the contract towards the runtime (`Host`, `Link`); `codec` and `status` translate messages
and errors; `server` serves a Host; `unary` is the transport any language can speak. Nothing here knows
which agents exist or how they are executed.
"""
