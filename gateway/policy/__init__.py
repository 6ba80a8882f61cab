"""May they, and now? Grants (caller × tenant × operation), rate limits and in-flight permits."""
