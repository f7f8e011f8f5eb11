"""Rows 12 to 15: a server that is killed, restarted, emptied, hung, cut off and full."""

import signal
import time

from tests.faults.row import Found, Setting
from tests.faults.system import OFFSETS, System

HANG_S = 31.0
FULL_S = 10.0
LAST_DUE_S = 5.0
CUTS = 20
SILENCES = 5
GIVEN_UP_WITHIN_S = 25.0
"""A client gives up a connection on which no answer comes for 5 s; a worker may meet several in a row."""
WITHIN_S = 5.0
"""Of the end of an outage, captures go on."""


def server_killed(setting: Setting) -> Found:
    """SIGKILL, then a start on what its append-only file kept."""
    return _restarted(setting, signal.SIGKILL, is_emptied=False)


def server_ended(setting: Setting) -> Found:
    """SIGTERM, then a start."""
    return _restarted(setting, signal.SIGTERM, is_emptied=False)


def server_emptied(setting: Setting) -> Found:
    """SIGKILL, then a start on nothing at all. A control first: with no feed that restores them, captures stay away."""
    found = _restarted(setting, signal.SIGKILL, is_emptied=True)
    with System(setting.folder / "control", coins=60) as system:
        system.venue.burst()
        time.sleep(0.7)
        with system.hole():
            system.feed.kill()
            _restart(system, signal.SIGKILL, is_emptied=True)
            setting.wait(LAST_DUE_S + WITHIN_S)
            away = len(system.signals()) * OFFSETS - len(system.followups()) - len(system.missed())
            system.feed.start()
            system.wait_until_live()
        system.judge(found, when="control")
    found.note = f"control: without a feed {away} captures stayed away until there was one"
    if not away:
        found.blame("the control lost nothing, so this row shows nothing")
    return found


def server_hangs(setting: Setting) -> Found:
    """SIGSTOP for longer than any time-out."""
    found = Found(injected=1)
    with System(setting.folder / "hang") as system:
        seconds = setting.seconds(HANG_S, least=8)
        system.server.send_signal(signal.SIGSTOP)
        setting.wait(seconds)
        system.server.send_signal(signal.SIGCONT)
        system.recovered(found, within_s=WITHIN_S)
        system.judge(found, when=f"server hung for {seconds:.0f} s")
    return found


def connections_cut(setting: Setting) -> Found:
    """All connections of all clients, again and again."""
    found = Found()
    with System(setting.folder / "cut", signals_per_s=20) as system:
        for _ in setting.rounds(CUTS, found, least=4):
            time.sleep(0.7)
            for kind in "normal", "pubsub":
                system.client.client_kill_filter(_type=kind, skipme=True)
        system.recovered(found, within_s=WITHIN_S)
        system.judge(found, when="connections cut")
    return found


def connections_half_open(setting: Setting) -> Found:
    """Nothing passes through the connections there are, and nobody is told; new ones work."""
    found = Found()
    with System(setting.folder / "half-open", signals_per_s=20, is_proxied=True) as system:
        for _ in setting.rounds(SILENCES, found, least=2):
            time.sleep(1.0)
            with system.hole():
                found.note = f"{system.proxy.fall_silent()} connections each time"
                system.recovered(found, within_s=GIVEN_UP_WITHIN_S + WITHIN_S)
        system.judge(found, when="half-open")
    return found


def server_full(setting: Setting) -> Found:
    """No room for anything for ten seconds, and nothing evicted."""
    found = Found(injected=1)
    with System(setting.folder / "full") as system:
        seconds = setting.seconds(FULL_S, least=4)
        with system.hole():
            system.client.config_set("maxmemory", 1)
            setting.wait(seconds)
            system.client.config_set("maxmemory", 1 << 30)
        system.recovered(found, within_s=WITHIN_S)
        system.judge(found, when=f"server full for {seconds:.0f} s")
    return found


def _restarted(setting: Setting, number: int, *, is_emptied: bool) -> Found:
    found = Found()
    with System(setting.folder / f"restart-{number}-{is_emptied}", coins=60) as system:
        for _ in setting.rounds(3, found):
            system.venue.burst()
            time.sleep(0.7)
            _restart(system, number, is_emptied=is_emptied)
            system.recovered(found, within_s=WITHIN_S)
        system.judge(found, when="emptied" if is_emptied else "restarted")
    return found


def _restart(system: System, number: int, *, is_emptied: bool) -> None:
    system.server.send_signal(number)
    system.server.wait()
    if is_emptied:
        for path in (system.data_dir.parent / "server").rglob("*"):
            if path.is_file():
                path.unlink()
    time.sleep(0.5)
    system.server.start()
