"""The sections of RESULTS.md that other benchmarks than `make bench` write: each keeps to its own."""

REPORT, LIVE_PAGE = "## The report\n", "## The live page\n"
NEXT = "\n## "


def section_of(page: str, heading: str) -> str:
    """The section that a page has, or nothing."""
    _, found, rest = page.partition(heading)
    return found + rest.partition(NEXT)[0].rstrip() + "\n" if found else ""


def with_section(page: str, text: str) -> str:
    """A page with this section at its end, in place of the one it has."""
    if not text:
        return page
    before, found, rest = page.partition(text.partition("\n")[0] + "\n")
    _, following, after = rest.partition(NEXT) if found else ("", "", "")
    kept = f"{before.rstrip()}\n{following}{after}".rstrip()
    return f"{kept}\n\n{text}"
