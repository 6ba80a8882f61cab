"""With which key? Sources, the ring of each tenant's keys, refresh, pins, reload."""
