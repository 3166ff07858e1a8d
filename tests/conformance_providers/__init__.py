"""Every adapter of a vendor's API through that vendor's SDK, over real sockets."""
