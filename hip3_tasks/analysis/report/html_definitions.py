"""How to read the page: what its words mean, each in a sentence or two."""

from html import escape

from hip3_tasks.analysis.measure.threshold_search import FIRST_PART
from hip3_tasks.analysis.report.html_values import Exhibit
from hip3_tasks.analysis.report.markup import Markup, element, joined
from hip3_tasks.charts import number_format
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS

DEFINITIONS = """
Edge: How far the touch (ask for a buy, bid for a sell) is priced through the oracle, in bps of the oracle.

Edge left: The mean edge then, over the mean edge of the same signals at T0. Half-life: when that first is one
half.

The book came, the oracle came: The edge shrank, and the touch, or the oracle, did more of it. If the book came,
the signal was right; if the oracle came, the market had led it.

Touch to oracle, oracle to touch: How far each moved towards the other, in bps; negative: away from it.

Markout: How far the mid moved from T0, signed so that + is the signal’s way. Net is the markout less the cost,
which is taker fee and slippage; won is the share whose net is above 0.

Band: The middle {level} of a bootstrap that draws whole clusters, a dex and {minutes} min each, since one
oracle tick moves all markets of a dex at once. With fewer than {fewest} clusters there is no band, and no
claim.

Thresholds: Chosen by what they brought in the first {first} of the time (in), judged on the rest (out). p is
how often the best of as many markets does as well by chance alone.

Verdicts: works: pays out of sample, beyond chance. unproven: nothing that chance would not do. loses: its band
is below 0. structural: a standing offset between oracle and book. too few: clusters, for any claim.

Lateness: When a follow-up was captured, less when it was due. Its prices are those of the due time all the
same.

One-sided: The share on the side that most are on; near 100 % oracle and book may simply differ.
"""


def definitions(exhibit: Exhibit) -> Markup:
    """As a list of terms."""
    values = {
        "level": exhibit.number(number_format.percent, "level"),
        "minutes": exhibit.number(number_format.count, "derived", "cluster_min"),
        "fewest": str(MIN_CLUSTERS),
        "first": number_format.percent(FIRST_PART),
    }
    terms = [said.partition(": ") for said in DEFINITIONS.strip().split("\n\n")]
    return element(
        "dl",
        [
            joined([element("dt", term), element("dd", Markup(escape(meaning).format(**values)))])
            for term, _, meaning in terms
        ],
    )
