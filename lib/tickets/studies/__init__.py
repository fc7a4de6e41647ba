"""One module per chapter: which cells it needs at each profile.

A study module has `cells(profile)`, cells in the order of their value to the claims: whoever stops early has the most;
and `MAIN`, the network that most of the chapter is about, by profile.
"""

from ..cells import Cell
from ..errors import choose
from . import linear_mode_connectivity, winning_tickets

STUDIES = {"01_winning_tickets": winning_tickets, "02_linear_mode_connectivity": linear_mode_connectivity}
PROFILES = ("smoke", "quick", "paper")


def cells(study: str, profile: str) -> list[Cell]:
    """The cells of a study at a profile; BadInput for names that do not exist."""
    choose("study", study, STUDIES)
    choose("profile", profile, PROFILES)
    return list(dict.fromkeys(STUDIES[study].cells(profile)))


def main(study: str, profile: str) -> Cell:
    """The network that most of a study is about, its first replicate undisturbed and dense."""
    return STUDIES[study].MAIN[profile]
