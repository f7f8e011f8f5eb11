"""Numbers with their nouns: `1 signal`, `2 signals`."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number with the noun in the form that agrees with it; the plural is the noun with an s unless given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
