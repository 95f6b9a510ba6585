"""The command `wavenet`, one file a verb."""
