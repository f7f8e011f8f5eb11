"""Celery workers: they read the tape as of a due time and append the outcome to the journal."""
