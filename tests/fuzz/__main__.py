"""``python -m tests.fuzz``: all hostile inputs, or some of them; counts by kind and a line for each failure."""

import argparse
import os
import sys
import time
from collections import Counter
from fnmatch import fnmatch

from tests.fuzz.corpus import KINDS, corpus
from tests.fuzz.runner import tried_by
from tests.fuzz.trial import Outcome


def main() -> int:
    """Try them; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of all that is random in the inputs (default: 0)")
    parser.add_argument("--only", metavar="KIND,KIND/PATTERN,...", default="*", help=f"some of {', '.join(KINDS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--verbose", action="store_true", help="a line for each input")
    options = parser.parse_args()
    patterns = [word if "/" in word else f"{word}/*" for word in options.only.split(",")]
    cases = [case for case in corpus() if any(fnmatch(case.key, pattern) for pattern in patterns)]
    if not cases:
        parser.error(f"nothing is called {options.only}; kinds are {', '.join(KINDS)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that try the inputs
    begin = time.monotonic()
    tried, failed = Counter[str](), Counter[str]()
    slowest: list[tuple[float, str]] = []
    for case, outcome in tried_by(options.jobs, cases, options.seed):
        tried[case.kind] += 1
        failed[case.kind] += bool(outcome.problems)
        slowest.append((outcome.seconds, case.key))
        if outcome.problems or options.verbose:
            _tell(case.key, outcome)
    _say(_table(tried, failed))
    _say(f"seed {options.seed}, {time.monotonic() - begin:.0f} s; slowest: {', '.join(_slow(slowest))}")
    return int(failed.total() > 0)


def _tell(key: str, outcome: Outcome) -> None:
    said = "; ".join(outcome.problems) or outcome.refused or "succeeded"
    _say(f"{'FAILED' if outcome.problems else 'passed'} {key!r} ({outcome.seconds:.1f} s): {said}")


def _table(tried: Counter[str], failed: Counter[str]) -> str:
    counts = [(kind, tried[kind], failed[kind]) for kind in tried] + [("all", tried.total(), failed.total())]
    rows = [f"{kind:<12} {many:5} {many - bad:6} {bad:6}" for kind, many, bad in counts]
    return "\n".join(["", f"{'kind':<12} tried passed failed", *rows])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _slow(seconds: list[tuple[float, str]]) -> list[str]:
    return [f"{name} {value:.1f} s" for value, name in sorted(seconds, reverse=True)[:5]]


if __name__ == "__main__":
    sys.exit(main())
