"""Rows 12 to 15: a server that is killed, restarted, emptied, hung, cut off and full."""

import signal
import time

from tests.faults.row import Result, Setting
from tests.faults.system import OFFSETS, System

HANG_S = 31.0
FULL_S = 10.0
LAST_DUE_S = 5.0
CUTS = 20
SILENCES = 5
RECONNECT_TIMEOUT_S = 25.0
"""A client closes a connection without an answer for 5 s; a worker may have several of them one after the other."""
RECOVERY_TIMEOUT_S = 5.0
"""Captures must continue within this time after an outage."""


def server_killed(setting: Setting) -> Result:
    """SIGKILL, then a start with the data of its append-only file."""
    return _restarted(setting, signal.SIGKILL, is_emptied=False)


def server_ended(setting: Setting) -> Result:
    """SIGTERM, then a start."""
    return _restarted(setting, signal.SIGTERM, is_emptied=False)


def server_emptied(setting: Setting) -> Result:
    """SIGKILL, then a start without data. The control has no feed to restore the captures, so none is captured."""
    result = _restarted(setting, signal.SIGKILL, is_emptied=True)
    with System(setting.folder / "control", coins=60, recorded=True) as system:
        system.venue.burst()
        time.sleep(0.7)
        with system.hole():
            system.feed.kill()
            _restart(system, signal.SIGKILL, is_emptied=True)
            setting.wait(LAST_DUE_S + RECOVERY_TIMEOUT_S)
            away = len(system.signals()) * OFFSETS - len(system.followups()) - len(system.missed())
            system.feed.start()
            system.wait_until_live()
        system.judge(result, when="control")
    result.note = f"control: without a feed {away} captures waited until one started"
    if not away:
        result.add_broken("the control lost nothing, so this row shows nothing")
    return result


def server_hangs(setting: Setting) -> Result:
    """SIGSTOP for longer than any timeout."""
    result = Result(injected=1)
    with System(setting.folder / "hang") as system:
        seconds = setting.seconds(HANG_S, least=8)
        system.server.send_signal(signal.SIGSTOP)
        setting.wait(seconds)
        system.server.send_signal(signal.SIGCONT)
        system.recovered(result, within_s=RECOVERY_TIMEOUT_S)
        system.judge(result, when=f"server hung for {seconds:.0f} s")
    return result


def connections_cut(setting: Setting) -> Result:
    """Cut all connections of all clients, again and again."""
    result = Result()
    with System(setting.folder / "cut", signals_per_s=20) as system:
        for _ in setting.rounds(CUTS, result, least=4):
            time.sleep(0.7)
            for kind in "normal", "pubsub":
                system.client.client_kill_filter(_type=kind, skipme=True)
        system.recovered(result, within_s=RECOVERY_TIMEOUT_S)
        system.judge(result, when="connections cut")
    return result


def connections_half_open(setting: Setting) -> Result:
    """Existing connections carry no data, but stay open; new connections work."""
    result = Result()
    with System(setting.folder / "half-open", signals_per_s=20, is_proxied=True) as system:
        for _ in setting.rounds(SILENCES, result, least=2):
            time.sleep(1.0)
            with system.hole():
                result.note = f"{system.proxy.fall_silent()} connections each time"
                system.recovered(result, within_s=RECONNECT_TIMEOUT_S + RECOVERY_TIMEOUT_S)
        system.judge(result, when="half-open")
    return result


def server_full(setting: Setting) -> Result:
    """No memory for new data for ten seconds, without eviction."""
    result = Result(injected=1)
    with System(setting.folder / "full") as system:
        seconds = setting.seconds(FULL_S, least=4)
        with system.hole():
            system.client.config_set("maxmemory", 1)
            setting.wait(seconds)
            system.client.config_set("maxmemory", 1 << 30)
        system.recovered(result, within_s=RECOVERY_TIMEOUT_S)
        system.judge(result, when=f"server full for {seconds:.0f} s")
    return result


def _restarted(setting: Setting, number: int, *, is_emptied: bool) -> Result:
    result = Result()
    with System(setting.folder / f"restart-{number}-{is_emptied}", coins=60, recorded=True) as system:
        for _ in setting.rounds(3, result):
            system.venue.burst()
            time.sleep(0.7)
            _restart(system, number, is_emptied=is_emptied)
            system.recovered(result, within_s=RECOVERY_TIMEOUT_S)
        system.judge(result, when="emptied" if is_emptied else "restarted")
    return result


def _restart(system: System, number: int, *, is_emptied: bool) -> None:
    system.server.send_signal(number)
    system.server.wait()
    if is_emptied:
        for path in (system.data_dir.parent / "server").rglob("*"):
            if path.is_file():
                path.unlink()
    time.sleep(0.5)
    system.server.start()
