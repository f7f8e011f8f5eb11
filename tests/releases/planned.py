"""Print as JSON how the source on the path starts its feed and its worker. Each release has its own version."""

import json

import hip3_tasks
from hip3_tasks import settings
from hip3_tasks.up import plan

made = plan.make_plan(settings.load(), plan.UpOptions(flower=False, page=False))
parts = {part.name: (part.command, dict(part.environment)) for part in (made.feed, made.worker)}
print(json.dumps({"parts": parts, "origin": hip3_tasks.__file__}))
