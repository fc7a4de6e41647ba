import numpy as np
from tickets.chapters.collection import ticket

mine = [ticket("01_winning_tickets", "LeNet", 10, replicate).mask["fc1.weight"] for replicate in range(10)]
short = [ticket("02_linear_mode_connectivity", "LeNet", 10, replicate).mask["fc1.weight"] for replicate in range(10)]
same = [(one & other).sum() / one.sum() for one, other in zip(mine, short, strict=True)]
another = [(one & other).sum() / one.sum() for one, other in zip(mine, short[1:] + short[:1], strict=True)]
print(f"the same initialization, trained half as long: {np.mean(same):.0%} of the kept weights are kept again")
print(f"another initialization: {np.mean(another):.0%}; of random masks {short[0].mean():.0%}")
