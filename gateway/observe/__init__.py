"""Tell: metrics, access log and process log, as subscribers of events. Nothing here decides."""
