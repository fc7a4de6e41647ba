"""Arms of chapter 2: measurements between two or three networks, and tickets pulled to or pushed from an optimum."""

from ...arms import ARMS, Arm, declare
from ...errors import BadInput, choose
from ...pruning.masks import final
from ..winning_tickets.arms import again, always, before_and_own, reinit

SUBJECTS = ("ticket", "random", "reinit", "pulled", "pulled_reinit")
PULLED = ("pulled", "pulled_reinit")
POINTS = 30
"""On a line (Frankle et al. 2020)."""
MOST_POINTS = 60
"""As many as a recorded curve has."""


def pulled(cell, model, store, weights, begin=again):
    """Trained with another loss: minus `pull` times the cosine to the trained weights that the mask was read from.

    Maene et al. 2021 attract and repel with such a term; the two weights and the linear cosine are our reading of it.
    """
    start = begin(cell, model, store, weights)
    goal = final(store.tensors(cell.ticket(cell.level - 1)))
    return type(start)(start.weights, start.mask, goal, cell.own["pull"])


def pulled_reinit(cell, model, store, weights):
    """The same of the reinitialized ticket."""
    return pulled(cell, model, store, weights, begin=reinit)


def copies(cell) -> list:
    """Two copies of a network that share everything up to the rewind step: other orders of the data from there on.

    The first copy of a subnetwork, or of a dense network from step 0, is that network itself. A dense network that is
    copied later went on with its optimizer, so both copies are made anew.
    """
    subject = cell.own["subject"]
    if not cell.level:
        first = cell.dense() if not cell.rewind else cell.dense().but(order=2, rewind=cell.rewind)
        return [first, cell.dense().but(order=1, rewind=cell.rewind)]
    own = {"pull": cell.own["pull"]} if subject in PULLED else {}
    one = cell.ticket(cell.level).but(arm=subject, draw=cell.draw, **own)
    return [one, one.but(order=1)]


def check_copies(cell) -> None:
    """BadInput for a subject that cannot be copied, a pull without a pulled subject, or too few or many points."""
    choose("subject", cell.own["subject"], SUBJECTS)
    if (cell.own["pull"] != 0) != (cell.own["subject"] in PULLED):
        raise BadInput(f"pull {cell.own['pull']}: the subjects {', '.join(PULLED)} have one, and no other")
    check_points(cell)


def check_points(cell) -> None:
    """BadInput for fewer points than a line has ends, or more than are recorded."""
    if not 2 <= cell.own["points"] <= MOST_POINTS:
        raise BadInput(f"points {cell.own['points']}: must be 2 to {MOST_POINTS}, what a recorded curve has")


def check_pull(cell) -> None:
    """BadInput without a pull: that would be the ticket itself, under another name."""
    if cell.own["pull"] == 0:
        raise BadInput("pull 0.0: pulled networks have one unlike 0")


def line(cell, model, store, device):
    """What lies on the straight line between the two parents that are no trunk."""
    from ...connectivity.lines import measure  # brings torch

    return measure(cell, ARMS[cell.arm].parents(cell), model, store, device, points=cell.own["points"])


def plane(cell, model, store, device):
    """Test errors in the plane through the three parents."""
    from ...connectivity.lines import measure_plane  # brings torch

    return measure_plane(cell, ARMS[cell.arm].parents(cell), model, store, device)


def between(label: str, ends, colour: int) -> Arm:
    """A row for a line between two networks."""
    return Arm(label, measure=line, parents=ends, own={"points": POINTS}, check=check_points, colour=colour)


declare(
    pulled=Arm(
        "pulled ticket", start=pulled, parents=before_and_own, own={"pull": 0.0}, check=check_pull,
        mask_suffices=True, together="pulled",
    ),
    pulled_reinit=Arm(
        "pulled, reinitialized", start=pulled_reinit, parents=before_and_own, own={"pull": 0.0}, check=check_pull,
        mask_suffices=True, together="pulled", redrawn=always,
    ),
    chord=Arm(
        "two copies", measure=line, parents=copies, own={"subject": "ticket", "pull": 0.0, "points": POINTS},
        check=check_copies, redrawn=lambda cell: ARMS[cell.own["subject"]].redrawn(cell),
    ),
    rounds=between("ticket and next ticket", lambda cell: [cell.ticket(cell.level), cell.ticket(cell.level + 1)], 18),
    descent=between("dense network and ticket", lambda cell: [cell.dense(), cell.ticket(cell.level)], 19),
    plane=Arm(
        "dense network, its copy and its ticket", measure=plane,
        parents=lambda cell: [cell.dense(), cell.dense().but(order=1, rewind=cell.rewind), cell.ticket(cell.level)],
    ),
)  # fmt: skip
