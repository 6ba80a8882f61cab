"""The operators' listener: metrics, probes and status. Never on the callers' port."""
