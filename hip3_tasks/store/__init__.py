"""Redis, and only Redis: keys, tape, pending set, task messages and status records."""
