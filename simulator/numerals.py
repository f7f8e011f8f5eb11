"""Numbers as the venue writes them: without trailing zeros, but one decimal for whole numbers (`31252.0`)."""


def numeral(value: float, decimals: int) -> str:
    """The value at that many decimals, without trailing zeros: 324.1800 -> 324.18, 324.0000 -> 324.0."""
    text = f"{value:.{decimals}f}" if decimals else f"{value:.0f}.0"
    kept = text.rstrip("0")
    return kept + "0" if kept.endswith(".") else kept
