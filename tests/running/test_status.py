"""What missing cells would cost: rates are read off records, and only those of a core."""

from tickets.cells import Cell
from tickets.running.status import hours_of, seconds_per_step

NET = Cell(dataset="digits", steps=100)


class Recorded(dict):
    """Cell -> record."""

    def put(self, cell, seconds, device):
        self[cell] = {"provenance": {"seconds": seconds, "device_kind": device}}


def test_what_a_gpu_took_is_no_forecast_for_a_core():
    store = Recorded()
    store.put(NET, 50.0, "cpu")
    for replicate in range(1, 4):
        store.put(NET.but(replicate=replicate), 1.0, "cuda")
    rates = seconds_per_step(store, [NET.but(replicate=r) for r in range(5)])
    assert rates == {("network", "lenet-300-100", 60, level): 0.5 for level in (0, None)}
    assert hours_of([NET.but(replicate=5, steps=7200)], rates) == 1
    assert hours_of([NET.but(model="conv-2", replicate=5)], rates) is None
    searched = NET.but(arm="edge_popup", replicate=5, level=1, optimizer="sgd", init="kaiming")
    assert hours_of([searched], rates) is None  # what weights take to train says nothing of scores
