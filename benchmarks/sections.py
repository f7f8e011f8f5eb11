"""The sections of RESULTS.md that other benchmarks than `make bench` write, each its own."""

REPORT, DAYS, LIVE_PAGE, REPLAY = "## The report\n", "## Many days\n", "## The live page\n", "## The replay\n"
NEXT = "\n## "


def section_of(page: str, heading: str) -> str:
    """The section of a page under a heading; empty when the page has none."""
    _, separator, rest = page.partition(heading)
    return separator + rest.partition(NEXT)[0].rstrip() + "\n" if separator else ""


def with_section(page: str, text: str) -> str:
    """The page with this section at its end, in place of its earlier version."""
    if not text:
        return page
    before, separator, rest = page.partition(text.partition("\n")[0] + "\n")
    _, following, after = rest.partition(NEXT) if separator else ("", "", "")
    kept = f"{before.rstrip()}\n{following}{after}".rstrip()
    return f"{kept}\n\n{text}"
