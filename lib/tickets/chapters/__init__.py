"""The chapters, each a folder: its arms, its study, its measurements and its figures. This is the only list of them.

A study module has `cells(profile)`, cells in the order of their value to the claims: whoever stops early has the most;
`MAIN`, the network that most of the chapter is about, by profile; `NETWORKS`, what claims call its networks, by
profile; where a named step is not the number in its name, `STEPS`, by profile and network; and `keeps_images(cell)` and
`keeps_curves(cell)`, where a claim compares image by image or a figure draws curves. What a chapter has at the profile
desk stands in `desk`, with that of the others.
"""

from ..cells import Cell
from ..errors import choose
from ..networks import PROFILES, Networks
from . import desk
from .deconstructing import study as deconstructing
from .edge_popup import study as edge_popup
from .elastic import study as elastic
from .linear_mode_connectivity import study as linear_mode_connectivity
from .subset_sum import study as subset_sum
from .transfer import study as transfer
from .winning_tickets import study as winning_tickets

STUDIES = {
    "01_winning_tickets": winning_tickets,
    "02_linear_mode_connectivity": linear_mode_connectivity,
    "03_deconstructing": deconstructing,
    "04_transfer": transfer,
    "05_elastic": elastic,
    "06_edge_popup": edge_popup,
    "08_subset_sum": subset_sum,
}


def cells(study: str, profile: str) -> list[Cell]:
    """The cells of a study at a profile; BadInput for names that do not exist."""
    choose("study", study, STUDIES)
    choose("profile", profile, PROFILES)
    return list(dict.fromkeys(_desk(study).cells() if profile == "desk" else STUDIES[study].cells(profile)))


def main(study: str, profile: str) -> Cell:
    """The network that most of a study is about, its first replicate undisturbed and dense; at the desk the first."""
    if profile == "desk" and (named := _desk(study).networks.cells):
        return next(iter(named.values()))
    return STUDIES[study].MAIN["paper" if profile == "desk" else profile]


def networks(profile: str) -> dict[str, Networks]:
    """Study -> its networks at a profile."""
    choose("profile", profile, PROFILES)
    if profile == "desk":
        return {name: _desk(name).networks for name in STUDIES}
    return {
        name: Networks(study.NETWORKS[profile], getattr(study, "STEPS", {}).get(profile, {}))
        for name, study in STUDIES.items()
    }


def registered() -> dict[str, dict[str, Networks]]:
    """Profile -> study -> networks, of the profiles that claims are judged at: smoke judges nothing."""
    return {profile: networks(profile) for profile in PROFILES if profile != "smoke"}


def kept(study: str, cell: Cell) -> dict[str, bool]:
    """What of a cell's record is committed beside its scalars: missed test images, and curves (see `records.thin`)."""
    asks = {name: getattr(STUDIES[study], f"keeps_{name}", None) for name in ("images", "curves")}
    return {name: bool(keeps and keeps(cell)) for name, keeps in asks.items()}


def _desk(study: str) -> desk.Desk:
    return desk.DESKS.get(study, desk.NONE)
