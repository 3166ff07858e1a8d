"""The conformance suite of patterns: one table module per pattern, the same tests over all of them."""
