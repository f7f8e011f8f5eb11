"""One file with everything that a report about a problem needs, and without secrets."""
