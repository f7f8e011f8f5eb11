"""Text from elsewhere, for a person's eyes: files, Redis and the venue may hold anything."""


def printable(text: str) -> str:
    """One line, in which what a terminal would act on is written as Python writes it: `\\x1b`, `\\n`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same for text that has lines of its own."""
    return "\n".join(map(printable, text.split("\n")))
