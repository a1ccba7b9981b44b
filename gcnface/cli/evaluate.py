"""``gcnface evaluate``."""

from __future__ import annotations

from gcnface.evaluation.registries import METHODS, usual
from gcnface.options import EvaluateOptions

EPILOG = f"""\
examples:
  gcnface evaluate people/ -o report/
  gcnface evaluate FACES --held-out --limit 20 -o report/ --methods coarse,projected,ours
  gcnface evaluate photos/ --people who.csv --groups ages.csv --completion 20 --relit 20 -o report/

what comes out:
  index.html     the table and every photo in pictures, method by method; worst.html: the worst ten by each metric
  table.md       the tables: pictures, identity, consistency and cost, differences, splits by group
  table.json     the same with the values of every photo, settings and versions
  metrics.csv    one value a line: photo, person, method, metric, view, yaw_deg, network, gain, value

exit status: 0 all done; 1 some photo failed (the table is of the others); 2 wrong usage

usual methods: {", ".join(usual(METHODS))}
"""


def run(options: EvaluateOptions) -> int:
    """Measure the methods; the exit status."""
    from gcnface.evaluation.command import evaluate

    return evaluate(options)
