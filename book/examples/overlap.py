import numpy as np
from tickets.chapters.collection import ticket


def masks(study):
    tickets = [ticket(study, "LeNet", 10, replicate) for replicate in range(10)]
    return [found.mask["fc1.weight"] for found in tickets]


def shared(some, others):
    pairs = zip(some, others, strict=True)
    return np.mean([(one & other).sum() / one.sum() for one, other in pairs])


long, short = masks("01_winning_tickets"), masks("02_linear_mode_connectivity")
print(f"the same initialization: {shared(long, short):.1%} are kept by both")
print(f"another initialization: {shared(long, short[1:] + short[:1]):.1%}")
print(f"random masks would share {short[0].mean():.1%}")
