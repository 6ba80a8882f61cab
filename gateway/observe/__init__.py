"""Reports: metrics, logs, audit log and traces, as subscribers of events. Nothing here decides."""
