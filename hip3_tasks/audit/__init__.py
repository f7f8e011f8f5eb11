"""`hip3 audit`: check that every signal has each of its follow-ups exactly once, and that all numbers are right."""
