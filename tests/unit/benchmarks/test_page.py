"""The results section of the benchmark of the live page."""

from benchmarks.pagefigures import PageFigures, Stretch, section


def a_stretch(viewers: int | None, *, page: float = 0.02, late_ms: int = 10) -> Stretch:
    return Stretch(
        viewers=viewers, page_share=page, feed_share=0.2, late_ms=[late_ms] * 100, watermark_ages_ms=[1, 2, 3]
    )


def test_each_number_of_viewers_is_held_against_the_same_rounds_without_the_page() -> None:
    rounds = [[a_stretch(None), a_stretch(1, late_ms=11)], [a_stretch(None, late_ms=20), a_stretch(1, late_ms=22)]]
    lines = section(PageFigures({}, rounds)).splitlines()
    ages = "2.0 (2.0-2.0)"
    assert f"| no page |  | 20.0 (20.0-20.0) | 15.0 (10.0-20.0) | 15.0 (10.0-20.0) | {ages} |" in lines
    late = "16.5 (11.0-22.0) **x 1.10**"
    assert f"| 1 | 2.0 (2.0-2.0) | 20.0 (20.0-20.0) **x 1.00** | {late} | {late} | {ages} |" in lines


def test_browser_and_memory_figures_are_in_the_section() -> None:
    figures = PageFigures({}, [[a_stretch(None)]], openings=[{"table": 500, "chart": 2100}], browser_shares=[0.25])
    figures.minutes_mb = [70.04, 70.0]
    text = section(figures)
    assert "ms: table 500, chart 2100\n" in text
    assert "busy for 25.0 % of a core" in text
    assert "MB: 70.0, 70.0." in text
