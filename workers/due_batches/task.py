"""The base class of tasks that run in batches. A caller and a pool process import it, and nothing of the strategy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Never

from celery import Task
from celery.exceptions import ImproperlyConfigured, Retry

CallArgs = tuple[Sequence[Any], dict[str, Any]]
"""The args and kwargs of one call."""


class Unsupported(NotImplementedError):
    """A batch task was asked for something that it cannot do."""


class NoRequest:
    """The `self.request` of `run_many`, which serves many requests: every read of it raises Unsupported."""

    def __init__(self, task_name: str) -> None:
        self._task_name = task_name

    def __getattr__(self, name: str) -> Never:
        raise Unsupported(
            f"{self._task_name}: run_many serves many requests and has no self.request.{name}: "
            "use the args and kwargs of its calls"
        )


class DueBatchTask(Task):
    """A task whose requests run in batches. Subclasses implement `run_many`; a single call is a batch of one."""

    abstract = True
    Strategy = "workers.due_batches.strategy:due_batches"
    max_batch = 500
    _results: Sequence[object] = ()
    """The result that the next `run` returns, if it is known."""

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Raise ImproperlyConfigured, at registration, for settings that would have no effect."""
        for setting in ("rate_limit", "track_started"):
            if getattr(cls, setting):
                raise ImproperlyConfigured(
                    f"{cls.name}: a batch task has no {setting}: set {setting} = False in {cls.__name__}"
                )

    def run_many(self, calls: Sequence[CallArgs]) -> Sequence[object]:
        """Run the calls (args, kwargs); return the result of each in order, an exception for a call that fails.

        `celery.exceptions.Retry` as a result retries that call; `Ignore` and `Reject` mean what they do in Celery.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement run_many")

    def run_calls(self, calls: Sequence[CallArgs]) -> Sequence[object]:
        """Return what `run_many` returns; it cannot read a request."""
        self.request_stack.push(NoRequest(str(self.name)))
        try:
            return self.run_many(calls)
        finally:
            self.request_stack.pop()

    @contextmanager
    def known_result(self, result: object) -> Iterator[None]:
        """Let the next `run` return this result, or raise it, without a call of `run_many`."""
        self._results = (result,)
        try:
            yield
        finally:
            self._results = ()

    def run(self, *args: Any, **kwargs: Any) -> object:
        results, self._results = self._results, ()
        (result,) = results or self.run_calls([(args, kwargs)])
        if isinstance(result, Retry):
            when = {"eta" if isinstance(result.when, datetime) else "countdown": result.when}
            self.retry(exc=result.exc, **when)
        if isinstance(result, Exception):
            raise result
        return result

    def retry(self, *args: Any, **options: Any) -> Any:
        if isinstance(self.request, NoRequest):
            raise Unsupported(
                f"{self.name}: run_many serves many calls and cannot retry: "
                "return celery.exceptions.Retry(exc=...) as the result of a call"
            )
        return super().retry(*args, **options)
