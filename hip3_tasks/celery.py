"""The Celery app, found by `celery -A hip3_tasks`. Importing it opens nothing and reads no setting."""

from celery import Celery

app = Celery("hip3_tasks")
app.config_from_object("celeryconfig")
