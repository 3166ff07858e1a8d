"""Generated from proto/aixgo/v1 by `make proto`; only aixgo.rpc imports it."""
