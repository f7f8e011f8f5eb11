"""A Celery consumer strategy that runs tasks which fall due together as one job. It knows nothing of markets."""
