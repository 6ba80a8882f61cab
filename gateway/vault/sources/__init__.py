"""Where keys come from: a file per kind, and one line per kind in `registry`."""
