"""The pending set, which holds every capture that is not yet on disk, and the queue of the tasks.

A capture enters once, together with its signal and its task, in one atomic call; it leaves when its line is on
disk. Adding a capture that is already there does nothing, so a call may be repeated, and a rebuild only adds.
The same calls add the signals that come and the lines of the captures that leave to streams, for bots.
One that an operator revoked is set aside, and is not added again: it is open, and nothing waits for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.store.keys import Keys

FIRST_TRY_MS = 2_000
"""The sweeper publishes a capture again from this long after its due time; before, its own task has time to run."""

MAX_QUEUE = 100_000
"""About 90 MB; a longer queue gets no further tasks. The sweeper publishes those later."""
SIGNAL_TTL_S = 900
MAX_STREAMED = 10_000
"""6 MB of signals and 8 MB of outcomes."""
MAX_REMOVED = 250
"""Captures that one call removes: adding their lines to the stream blocks the server for 2 ms."""

# KEYS: pending, due, queue, added, revoked, stream of signals, then one signal key each.
# ARGV: signal TTL in s, the count known to the caller, his time, number of signals, their lines, then member, next try,
# due, message of each capture; an empty message leaves the capture to the sweeper.  Returns {captures added, count}.
# The count of calls is never behind the time, or calls after a loss could make it what it was. A server that has lost a
# call counts none until the feed has asked, or a call without a reply could hide it.
# A command costs more than a value, so each adds 1,000 captures; Lua cannot unpack 8,000 values.
ADD = """
local signals = tonumber(ARGV[4])
for i = 1, signals do
  if redis.call('HSET', KEYS[6 + i], 'record', ARGV[4 + i]) == 1 then
    redis.call('XADD', KEYS[6], 'MAXLEN', MAX_STREAMED, '*', 'signal', ARGV[4 + i])
  end
  redis.call('EXPIRE', KEYS[6 + i], ARGV[1])
end
local added, seen = 0, {}
for from = 5 + signals, #ARGV, 4000 do
  local members, tries, dues, messages = {}, {}, {}, {}
  for i = from, math.min(from + 3999, #ARGV), 4 do members[#members + 1] = ARGV[i] end
  local known = redis.call('ZMSCORE', KEYS[1], unpack(members))
  local revoked = redis.call('ZMSCORE', KEYS[5], unpack(members))
  for n, member in ipairs(members) do
    if not known[n] and not revoked[n] and not seen[member] then
      seen[member] = true
      local i = from + 4 * (n - 1)
      tries[#tries + 1], tries[#tries + 2] = ARGV[i + 1], member
      dues[#dues + 1], dues[#dues + 2] = ARGV[i + 2], member
      if ARGV[i + 3] ~= '' then messages[#messages + 1] = ARGV[i + 3] end
      added = added + 1
    end
  end
  if #tries > 0 then
    redis.call('ZADD', KEYS[1], unpack(tries))
    redis.call('ZADD', KEYS[2], unpack(dues))
  end
  if #messages > 0 and redis.call('LLEN', KEYS[3]) < MAX_QUEUE then redis.call('LPUSH', KEYS[3], unpack(messages)) end
end
local calls = tonumber(redis.call('GET', KEYS[4]) or 0)
if calls < tonumber(ARGV[2]) then calls = 0 else calls = math.max(calls + 1, tonumber(ARGV[3])) end
redis.call('SET', KEYS[4], string.format('%d', calls))
return {added, calls}
""".replace("MAX_QUEUE", str(MAX_QUEUE)).replace("MAX_STREAMED", str(MAX_STREAMED))

# KEYS: pending, due, revoked, stream of outcomes.  ARGV: member, kind and line of each capture; without a line it adds
# nothing to the stream, nor does one that was not pending any more.
REMOVE = """
local members = {}
for i = 1, #ARGV, 3 do members[#members + 1] = ARGV[i] end
local pending = redis.call('ZMSCORE', KEYS[1], unpack(members))
for i = 1, 3 do redis.call('ZREM', KEYS[i], unpack(members)) end
for n = 1, #members do
  local kind, line = ARGV[3 * n - 1], ARGV[3 * n]
  if pending[n] and line ~= '' then redis.call('XADD', KEYS[4], 'MAXLEN', MAX_STREAMED, '*', kind, line) end
end
""".replace("MAX_STREAMED", str(MAX_STREAMED))

# KEYS: pending, due, revoked.  ARGV: member, due.
REVOKE = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
"""

# KEYS: pending, queue.  ARGV: member, next try, message of each capture.
AGAIN = """
local published = 0
for i = 1, #ARGV, 3 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
    redis.call('LPUSH', KEYS[2], ARGV[i + 2])
    published = published + 1
  end
end
return published
"""


NO_RECORDS: Mapping[str, Followup | Missed] = {}


@dataclass(frozen=True, slots=True)
class PendingCapture:
    """A capture to add and the message of its task; a capture with None is left to the sweeper."""

    capture: Capture
    message: bytes | None

    def next_try_at_ms(self) -> int:
        return self.capture.due_at_ms + FIRST_TRY_MS


class Pending:
    """One feed's pending set. Every method may raise redis.RedisError; all but `remove` are one round-trip."""

    def __init__(self, client: "redis.Redis", keys: Keys, *, signal_ttl_s: int = SIGNAL_TTL_S) -> None:
        self._client, self._keys, self._signal_ttl_s = client, keys, signal_ttl_s
        self._calls = 0
        """The server's count of calls, as far as it is known here."""
        self._is_set_back = False
        """Whether the server counted a call as one that it had counted before."""
        self._add = client.register_script(ADD)
        self._again, self._revoke = client.register_script(AGAIN), client.register_script(REVOKE)
        self._remove = client.register_script(REMOVE)

    def add(self, signals: Sequence[Signal], captures: Iterable[PendingCapture], *, at_ms: int = 0) -> int:
        """Add signals, their captures and tasks atomically, by due time; return how many captures were new.

        `at_ms` is the time of a feed that will ask for lost calls.
        """
        keys = [self._keys.pending, self._keys.due, self._keys.queue, self._keys.added, self._keys.revoked]
        keys.append(self._keys.signal_stream)
        known = self._calls
        argv: list[str | bytes | int] = [self._signal_ttl_s, known, at_ms, len(signals)]
        argv += [signal.line() for signal in signals]
        for new in sorted(captures, key=lambda new: new.capture.due_at_ms):
            argv += [new.capture.member, new.next_try_at_ms(), new.capture.due_at_ms, new.message or b""]
        keys += [self._keys.signal(signal.signal_id) for signal in signals]
        added, calls = self._add(keys=keys, args=argv)
        self._is_set_back |= int(calls) <= known
        self._calls = max(self._calls, int(calls))
        return int(added)

    def has_lost_calls(self) -> bool:
        """Whether the server lost a call that added captures; it then counts again from where it is.

        The tape's watermark does not show it when it stood still since that call.
        """
        calls, known = int(self._client.get(self._keys.added) or 0), self._calls
        has_lost = self._is_set_back or calls < known
        self._calls, self._is_set_back = calls, False
        return has_lost

    def overdue(self, *, at_ms: int, limit: int) -> tuple[int, list[str]]:
        """The length of the queue, and the members whose next try has come; the earliest next try is first."""
        pipe = self._client.pipeline(transaction=False)
        pipe.llen(self._keys.queue)
        pipe.zrangebyscore(self._keys.pending, "-inf", at_ms, start=0, num=limit)
        queued, members = pipe.execute()
        return queued, [member.decode(errors="surrogateescape") for member in members]

    def hasten(self, *, at_ms: int, limit: int) -> int:
        """Make captures that were due FIRST_TRY_MS ago or earlier ready to be tried at once; return how many.

        Their tries have failed, and the next may be up to a minute away although the reason has just gone.
        """
        overdue: Any = self._client.zrangebyscore(self._keys.due, "-inf", at_ms - FIRST_TRY_MS, start=0, num=limit)
        if overdue:
            self._client.zadd(self._keys.pending, dict.fromkeys(overdue, at_ms), xx=True, lt=True)
        return len(overdue)

    def publish_again(self, retries: Iterable[tuple[Capture, int, bytes]]) -> int:
        """Queue tasks again where the capture is still pending; `retries` has (capture, next try, message)."""
        argv: list[str | bytes | int] = []
        for capture, next_try_at_ms, message in retries:
            argv += [capture.member, next_try_at_ms, message]
        return int(self._again(keys=[self._keys.pending, self._keys.queue], args=argv)) if argv else 0

    def remove(self, members: Iterable[str], records: Mapping[str, Followup | Missed] = NO_RECORDS) -> None:
        """Remove captures whose lines are on disk, or that can never have a line.

        The records of those whose lines are new go to the stream, if they were pending. Several calls for many.
        """
        argv: list[str | bytes] = []
        for member in members:
            record = records.get(member)
            kind = "followup" if isinstance(record, Followup) else "missed"
            argv += [member.encode(errors="surrogateescape"), kind, record.line() if record else b""]
        keys = [self._keys.pending, self._keys.due, self._keys.revoked, self._keys.outcome_stream]
        for first in range(0, len(argv), 3 * MAX_REMOVED):
            self._remove(keys=keys, args=argv[first : first + 3 * MAX_REMOVED])

    def revoke(self, capture: Capture) -> bool:
        """Set a pending capture aside; whether it was pending."""
        keys = [self._keys.pending, self._keys.due, self._keys.revoked]
        return bool(self._revoke(keys=keys, args=[capture.member, capture.due_at_ms]))

    def revoked(self) -> int:
        """The number of captures that were set aside, and have no line yet."""
        return int(self._client.zcard(self._keys.revoked))

    def size(self) -> int:
        return int(self._client.zcard(self._keys.pending))

    def oldest_due_at_ms(self) -> int | None:
        """The earliest due time of all captures, which may be in the future; None when there is no capture."""
        first = self._client.zrange(self._keys.due, 0, 0, withscores=True)
        return int(first[0][1]) if first else None
