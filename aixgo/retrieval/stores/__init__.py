"""Vector stores: the contract in `base`, one module per store. A store's module holds `STORE`, its class."""
