"""What the operator configured: read, checked as a whole, and frozen. Rule: validation never acts.

Start with `load`; `schema` and `vault_file` say what may be written, `key_sources` where keys may
be, `checks` what must hold between settings. Nothing here opens a socket, a store or a key file.
"""
