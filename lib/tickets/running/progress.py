"""How far a run is: a bar with rate and time left where a person watches, plain lines now and then elsewhere."""

import os
import sys

from tqdm.std import tqdm

PLAIN = "TICKETS_PLAIN_PROGRESS"
"""Set where a notebook is executed and nobody watches it."""
OFTEN = 30
"""Seconds between two plain lines."""


class Progress:
    """Called with (done, all, seconds) after each population; writes to stderr."""

    def __init__(self):
        self.bar, self.told = None, -1.0
        self.watched = sys.stderr.isatty() or ("ipykernel" in sys.modules and PLAIN not in os.environ)

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if self.watched:
            self.bar = self.bar or tqdm(total=total, unit="population", smoothing=0.1)
            self.bar.update(done - self.bar.n)
            if done == total:
                self.bar.close()
        elif done == total or seconds - self.told > OFTEN:
            self.told = seconds
            rest = f", {60 * done / seconds:.3g} a minute, {(total - done) * seconds / done:.0f} s left" if done else ""
            print(f"{done} of {total} populations, {seconds:.0f} s{rest}", file=sys.stderr, flush=True)
