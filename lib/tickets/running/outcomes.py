"""How a population can end; anything else is the traceback of its failure."""

DONE, PAUSED, DIED = "done", "paused", "died"
AGAIN = "again"
"""What it starts from is outdated: planned again, its chain begins anew."""
KILLED = "The worker process was killed when it computed nothing but this population."
