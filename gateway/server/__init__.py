"""The callers' side of the wire: strict HTTP/1.1 in, replies out, listeners and life cycle."""
