"""Numbers as the wire writes them: no needless zeros, but whole numbers with one (`31252.0`)."""


def numeral(value: float, decimals: int) -> str:
    """The value at that many decimals, trailing zeros dropped but for one: 324.1800 -> 324.18."""
    text = f"{value:.{decimals}f}" if decimals else f"{value:.0f}.0"
    kept = text.rstrip("0")
    return kept + "0" if kept.endswith(".") else kept
