"""The benchmark of the whole product: its delays from sightings and records, and its comparison of two runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.checkout import Checkout
from benchmarks.departures import Sightings
from benchmarks.figures import Quantiles
from benchmarks.footprint import ALL, Footprint, ProcessTime, Usage, role_of
from benchmarks.product import add_kept, all_kept, in_pairs
from benchmarks.productfigures import Delays, Span, Stretch, delays, mb_a_day
from benchmarks.productpage import markdown, table
from benchmarks.productrun import Options
from benchmarks.recordercost import FIGURES, pairs_of, ratio, without_recorder
from benchmarks.venue import BURST, COINS, LIVE, LOADS, PAGE
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal


def a_usage(cpu_share: float, mb: float) -> Usage:
    return Usage(cpu_share=cpu_share, rss_mb=mb + 20, pss_mb=mb, grown_mb=1.0)


def a_stretch(label: str = "before", *, load: str = "live", cpu_share: float = 0.3, mb: float = 400.0) -> Stretch:
    late = Quantiles.from_values([5.0])
    return Stretch(
        label=label,
        load=load,
        at_ms=T0_MS,
        seconds=60.0,
        viewers=3,
        commit="878e104",
        machine={"system": "Linux"},
        usages={"feed": a_usage(0.2, 60.0), ALL: a_usage(cpu_share, mb)},
        beside={"venue": 0.05},
        stray_cores=0.1,
        frames_per_s=450.0,
        redis_mb=3.0,
        files_mb_a_day={"records": 600.0},
        delays=Delays(
            signals=180,
            captures=540,
            missed=0,
            unseen=0,
            read_ms=late,
            durable_ms=late,
            written_ms=late,
            queued_ms=late,
            looks_ms=late,
        ),
    )


def test_the_live_load_is_450_frames_and_3_signals_a_second() -> None:
    counts = LIVE.expected(10.0)
    assert counts.books + counts.contexts == 4_500
    assert (counts.jumps, counts.burst_jumps) == (30, 0)


@pytest.mark.parametrize(("at_s", "jumps"), [(5.99, 0), (6.0, 0), (6.025, 50), (6.06, 100), (11.9, 100), (12.1, 200)])
def test_a_burst_moves_a_hundred_markets_within_50_ms_every_6_s(at_s: float, jumps: int) -> None:
    assert LOADS["bursts"].expected(at_s).burst_jumps == pytest.approx(jumps, abs=1)
    assert len(set(BURST)) == 100 and set(BURST) < set(COINS)


def test_a_burst_without_a_span_is_there_at_once() -> None:
    assert PAGE.expected(9.99).burst_jumps == 0
    assert PAGE.expected(10.0).burst_jumps == 100


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -P -m feed", "feed"),
        ("python -P -m hip3_tasks.feed", "feed"),
        ("/feed/bin/python -P -m celery -A hip3_tasks worker --hostname=feed@%h", "worker"),
        ("python -P -m celery -A hip3_tasks flower --port=5", "flower"),
        ("python -P -m hip3_tasks.cli page", "page"),
        ("python -P -m hip3_tasks.cli record", "recorder"),
        ("python -I -S /worker/hip3_tasks/up/reaper.py", "reaper"),
        ("/usr/bin/valkey-server --port 1", "server"),
        ("python -c pass", "other"),
    ],
)
def test_a_process_is_known_by_its_command_line(command: str, role: str) -> None:
    assert role_of(command.split()) == role


def test_a_server_that_wrote_over_its_command_line_is_known() -> None:
    assert role_of(["/opt/valkey-server 127.0.0.1:20000"]) == "server"
    assert role_of([]) == "other"


def test_roles_add_up_and_memory_is_the_most_that_was_seen() -> None:
    looks = [{"feed": (60.0, 50.0), ALL: (160.0, 100.0)}, {"feed": (80.0, 70.0), ALL: (180.0, 120.0)}]
    marks = {
        1: ProcessTime("feed", 1.0, 3.0),
        2: ProcessTime("worker pool", 0.0, 1.0),
        3: ProcessTime("worker pool", 5.0, 5.5),
    }
    usages = Footprint(psutil.Process(), 10.0, marks, looks).usages()
    assert usages["feed"] == Usage(cpu_share=0.2, rss_mb=80.0, pss_mb=70.0, grown_mb=20.0)
    assert usages["worker pool"].cpu_share == 0.15
    assert usages[ALL].cpu_share == 0.35 and usages[ALL].pss_mb == 120.0


def test_the_cpu_share_of_a_process_counts_from_its_first_sample() -> None:
    footprint = Footprint(psutil.Process())
    footprint.look(0.0)
    footprint.weigh()
    sum(range(1_000_000))
    footprint.look(1.0)
    usage = footprint.usages()["up"]
    assert 0 < usage.cpu_share < 5
    assert usage.rss_mb >= usage.pss_mb > 0


def sightings_of(*looks: tuple[float, set[str]]) -> Sightings:
    sightings = Sightings()
    for at_ms, overdue in looks:
        sightings.note(at_ms - 1.0, at_ms, overdue=overdue, pending=(), lines=())
    return sightings


def test_a_capture_left_at_the_first_poll_without_it() -> None:
    sightings = sightings_of((10.0, {"a"}), (15.0, {"a", "b"}), (20.0, {"b"}), (25.0, set()))
    assert sightings.left_at_ms("a", not_before_ms=9.0) == 20.0
    assert sightings.left_at_ms("b", not_before_ms=12.0) == 25.0
    assert sightings.pauses_ms() == [5.0, 5.0, 5.0]


def test_a_capture_that_no_poll_showed_left_at_the_first_poll_after_its_reading() -> None:
    sightings = sightings_of((10.0, set()), (15.0, set()))
    assert sightings.left_at_ms("a", not_before_ms=11.0) == 15.0
    assert sightings.left_at_ms("a", not_before_ms=16.0) is None


def test_a_poll_begun_before_the_due_time_is_ignored() -> None:
    sightings = sightings_of((10.0, set()), (15.0, set()))
    assert sightings.left_at_ms("a", not_before_ms=9.5) == 15.0


def test_delays_cover_the_span_and_count_unseen_captures() -> None:
    signal, later = a_signal(), a_signal("xyz:LATER", at_ms=T0_MS + 60_000)
    outcomes = [a_followup(signal, 1000), a_missed(signal, 3000), a_followup(later, 1000)]
    sightings = Sightings()
    sightings.note(T0_MS + 7.0, T0_MS + 8.0, overdue=(), pending=[f"{signal.signal_id}|5000"], lines=[signal.line()])
    sightings.note(T0_MS + 3_990.0, T0_MS + 4_000.0, overdue=(), pending=(), lines=())
    counted = delays([signal, later], outcomes, sightings, span=Span(T0_MS, T0_MS + 60_000))
    assert (counted.signals, counted.captures, counted.missed) == (1, 2, 1)
    assert counted.written_ms.max == counted.queued_ms.max == 8.0
    assert counted.durable_ms.max == 3_000.0
    assert counted.read_ms.max == max(record.captured_at_ms - record.due_at_ms for record in outcomes[:2])
    assert counted.unseen == 0
    unseen = delays([signal], outcomes, Sightings(), span=Span(T0_MS, T0_MS + 60_000))
    assert unseen.unseen == 4


def test_growth_is_that_of_a_day() -> None:
    assert mb_a_day({"records": 1_000_000}, {"records": 2_000_000}, seconds=86_400) == {"records": 1.0}


def test_one_label_has_no_change() -> None:
    lines = list(table([a_stretch()]))
    assert lines[0] == "|  | before |"
    assert "| CPU, % of a core: all | 30.0 |" in lines
    assert "| memory, MB: all | 400 (420) +1 |" in lines


def test_before_and_after_stand_beside_their_change() -> None:
    lines = list(table([a_stretch(), a_stretch("after", cpu_share=0.35, mb=440.0)]))
    assert lines[0] == "|  | before | after | change |"
    assert "| CPU, % of a core: all | 30.0 | 35.0 | +5.0 |" in lines
    assert "| lateness, state read | 5 / 5 / 5 | 5 / 5 / 5 | +0 / +0 / +0 |" in lines
    assert lines[-1].startswith("\nBudget of CPU and memory kept: +5.0 % of a core, +40 MB; lateness p99 +0 ms")


@pytest.mark.parametrize("more", [{"cpu_share": 0.41}, {"mb": 551.0}])
def test_a_figure_over_budget_is_marked(more: dict[str, float]) -> None:
    assert "**exceeded**" in list(table([a_stretch(), a_stretch("after", **more)]))[-1]


def test_a_change_that_rounds_to_zero_has_no_minus() -> None:
    lines = list(table([a_stretch(), a_stretch("after", mb=399.9)]))
    assert "| memory, MB: all | 400 (420) +1 | 400 (420) +1 | +0 (+0) +0 |" in lines


def test_runs_of_a_label_are_shown_by_their_median() -> None:
    runs = [a_stretch(cpu_share=share) for share in (0.3, 0.9, 0.4)]
    assert "| CPU, % of a core: all | 40.0 |" in list(table(runs))


def test_a_process_that_came_or_went_is_named() -> None:
    after = a_stretch("after")
    renamed = replace(after, usages={"sensor": after.usages["feed"], ALL: after.usages[ALL]})
    lines = list(table([a_stretch(), renamed]))
    assert "| CPU, % of a core: feed | 20.0 |  | gone |" in lines
    assert "| CPU, % of a core: sensor |  | 20.0 | new |" in lines


def test_kept_stretches_are_read_again_by_load(tmp_path: Path) -> None:
    keep = tmp_path / "product.jsonl"
    stretches = [a_stretch(), a_stretch(load="bursts"), a_stretch("after")]
    for stretch in stretches:
        add_kept(stretch, keep)
    assert all_kept(keep) == stretches
    page = (tmp_path / "PRODUCT.md").read_text()
    assert page == markdown(stretches)
    assert page.index("## Live") < page.index("| before | after |") < page.index("## Bursts")


def test_another_checkout_needs_an_environment_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run `make setup` there first"):
        Checkout.from_root(tmp_path)
    assert Checkout.from_root(None).commit() != "unknown"


def paired(shares: Sequence[tuple[float, float]]) -> list[Stretch]:
    """Pairs of runs with these shares of CPU of the feed, without a recorder and with it."""

    def with_feed(label: str, share: float) -> Stretch:
        stretch = a_stretch(label)
        return replace(
            stretch, usages=stretch.usages | {role: a_usage(share, 60.0) for role in ("feed", "server", "recorder")}
        )

    arms = [(with_feed(without_recorder("now"), other), with_feed("now", mine)) for other, mine in shares]
    return [stretch for arm in arms for stretch in arm]


OF_FEED = next(figure for figure in FIGURES if figure.name == "CPU of the feed")


def test_the_recorders_cost_is_the_mean_ratio_of_pairs_with_an_interval() -> None:
    pairs = pairs_of(paired([(0.20, 0.22), (0.10, 0.11), (0.40, 0.44)]), "live")
    assert [(mine.label, other.label) for mine, other in pairs] == [("now", "now, no tape")] * 3
    assert ratio(pairs, OF_FEED) == pytest.approx((1.1, 1.1, 1.1))
    uneven = ratio(pairs_of(paired([(0.20, 0.22), (0.10, 0.09), (0.40, 0.44)]), "live"), OF_FEED)
    assert uneven is not None and uneven.low < 1 < uneven.value < 1.1 == pytest.approx(uneven.high)


def test_the_page_has_the_recorders_cost_only_where_pairs_were_measured() -> None:
    assert "recorder" not in markdown([a_stretch("before"), a_stretch("now")])
    page = markdown(paired([(0.20, 0.22), (0.10, 0.11)]))
    assert "| | live, 2 pairs |" in page and "| CPU of the feed | 1.100 (1.100 to 1.100) |" in page
    assert "| lateness, state read, mean |  |" in page
    assert "| the recorder itself, CPU, % of a core | 16.5 |" in page
    assert "## Live" not in page and "## Live" in markdown([a_stretch("before"), *paired([(0.20, 0.22)])])


def test_each_arm_of_a_pair_comes_first_in_turn() -> None:
    options = Options(label="now", seconds=60, settling_s=20, viewers=3)
    assert [plan.is_recorded for plan in in_pairs(options, 2)] == [False, True, True, False]
    assert [plan.label for plan in in_pairs(options, 1)] == ["now, no tape", "now"]
