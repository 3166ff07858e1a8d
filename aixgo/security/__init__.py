"""Who may read what travels, and who may call: TLS and tokens for the wire.

Below: errors, names, loading. Above: rpc, which puts them to work; config and the command line, which read them.
"""
