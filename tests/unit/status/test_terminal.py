"""Problems are reported once."""

from hip3_tasks.status.terminal import ProblemChanges


def test_each_problem_is_reported_when_it_begins_and_when_it_ends() -> None:
    changes = ProblemChanges()
    assert changes.update(["the feed is silent for 6 s"]) == ["red: the feed is silent for 6 s"]
    assert changes.update(["the feed is silent for 7 s", "Redis: away"]) == ["red: Redis: away"]
    assert changes.update(["Redis: away"]) == ["over: the feed is silent for 7 s"]
    assert changes.update([]) == ["over: Redis: away"]
    assert changes.update([]) == []
