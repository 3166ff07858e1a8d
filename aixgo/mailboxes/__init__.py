"""Mailboxes: where sent messages wait for their agent. `base` is the contract, each other file one kind."""
