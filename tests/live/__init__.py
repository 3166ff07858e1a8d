"""A short set against vendors' real servers; run by `make test-live` only."""
