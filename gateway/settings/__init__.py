"""What the operator asked for: read, checked whole, and frozen. Law: validation never acts.

`load` is the way in; `schema` and `vault_file` say what may be written; `checks` hold between
settings; `report` shows what is wrong. Nothing here opens a socket, a store or a key file.
"""
