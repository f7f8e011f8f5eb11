"""The data directory: lines, days, locks and the journal."""
