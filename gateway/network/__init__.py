"""Connections to others: names, addresses, and how the other end of TLS is verified."""
