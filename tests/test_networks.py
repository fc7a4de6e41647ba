"""Networks by the names that claims use: named steps, the places of contrasts, and the names that an entry mentions."""

import pytest
from tickets import chapters
from tickets.arms import own_defaults
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.networks import FREE, Networks, Scene, mentioned, place

LENET = Cell(steps=24_000)
CELLS = {"LeNet": LENET, "LeNet, short": LENET.but(steps=2400), "ResNet-20": Cell(model="resnet-20")}
NETWORKS = Networks(CELLS, {"LeNet, short": {"k1000": 100, "k500": 50}})
SCENE = Scene(NETWORKS, "LeNet")


def at(network):
    """The same study at another network."""
    return Scene(NETWORKS, network)


# steps


def test_a_named_step_is_the_number_in_its_name_unless_the_network_says_otherwise():
    assert NETWORKS.step("LeNet", "k1000") == 1000
    assert NETWORKS.step("LeNet, short", "k1000") == 100
    assert NETWORKS.step("LeNet, short", "k2000") == 2000  # which it does not list
    assert NETWORKS.step("ResNet-20", "k0") == 0
    assert all(Networks(CELLS).step(name, "k500") == 500 for name in CELLS)


def test_a_step_may_be_given_as_a_number():
    assert [NETWORKS.step(name, 1000) for name in CELLS] == [1000] * 3
    assert NETWORKS.step("LeNet, short", 0) == 0


@pytest.mark.parametrize("name", ["1000", "k", "K1000", "1000k", "k1e3", "k-5", "k 5", "late", ""])
def test_a_name_that_is_no_step(name):
    with pytest.raises(BadInput, match=f"step '{name}' of LeNet, short: a number, or a name such as k1000"):
        NETWORKS.step("LeNet, short", name)


def test_a_network_may_call_its_steps_as_it_likes():
    """The epochs of ImageNet, say; another network knows nothing of them."""
    networks = Networks(CELLS, {"ResNet-20": {"fifth epoch": 6012}})
    assert networks.step("ResNet-20", "fifth epoch") == 6012
    with pytest.raises(BadInput, match="step 'fifth epoch' of LeNet"):
        networks.step("LeNet", "fifth epoch")


def test_the_studies_say_what_their_named_steps_are(monkeypatch):
    """By profile and network, where they have any."""
    study = chapters.STUDIES["02_linear_mode_connectivity"]
    monkeypatch.setattr(study, "STEPS", {"quick": {"LeNet": {"k1000": 100}}}, raising=False)
    steps = {p: here["02_linear_mode_connectivity"].step("LeNet", "k1000") for p, here in chapters.registered().items()}
    assert steps == {"quick": 100, "desk": 1000, "paper": 1000}  # the desk has no LeNet
    desk = chapters.networks("desk")["02_linear_mode_connectivity"]
    assert [desk.step("ResNet-20", name) for name in ("k500", "k1000", "k2000", "k4000")] == [64, 127, 254, 508]


# places


def test_all_replicates_and_draws_of_a_network_have_one_place():
    assert FREE == ("replicate", "draw")
    one = LENET.but(arm="reinit", level=7, draw=1)
    assert place(one) == place(one.but(replicate=3, draw=2))
    for changes in ({"level": 8}, {"order": 1}, {"rewind": 500}, {"steps": 2400}, {"precision": "float64"}):
        assert place(one) != place(one.but(**changes)), changes
    assert place(one.but(schedule="restarted", rewind=500)) != place(one.but(rewind=500))


def test_a_term_has_the_place_of_its_cells():
    for fields in (
        {"level": 0},
        {"level": 15},
        {"arm": "reinit", "level": 7, "draw": 1},
        {"arm": "noise", "level": 7, "sigma": 0.5},
        {"level": 8, "rewind": 500, "schedule": "restarted"},
        {"arm": "pulled", "level": 15, "pull": -1},
        {"arm": "chord", "level": 15, "subject": "random"},
        {"arm": "chord", "level": 0, "rewind": 1000},
        {"arm": "rounds", "level": 3},
        {"arm": "one_shot", "level": 1.765},
    ):
        assert SCENE.place(**fields) == place(LENET.but(**fields)), fields


def test_an_own_parameter_that_is_not_named_is_at_its_default():
    default = own_defaults()["sigma"]
    assert SCENE.place(arm="noise", level=7) == place(LENET.but(arm="noise", level=7, sigma=default))
    assert SCENE.place(arm="noise", level=7) != SCENE.place(arm="noise", level=7, sigma=0.5)


def test_level_0_of_every_arm_is_the_dense_network_and_one_for_all_rewind_steps():
    dense = place(LENET)
    for fields in ({}, {"rewind": "k1000"}, {"arm": "random", "level": 0}, {"arm": "noise", "level": 0, "sigma": 0.5}):
        assert SCENE.place(**fields) == dense, fields
    assert SCENE.place(level=0, order=1, rewind="k1000") == place(LENET.but(order=1, rewind=1000)) != dense
    assert SCENE.place(arm="chord", level=0, rewind="k1000") == place(LENET.but(arm="chord", rewind=1000)) != dense


def test_a_term_that_names_another_network_is_placed_there():
    assert SCENE.place(level=7, network="ResNet-20") == place(CELLS["ResNet-20"].but(level=7))
    assert at("ResNet-20").place(level=7) == SCENE.place(level=7, network="ResNet-20")
    assert at("ResNet-20").place(level=7, network="LeNet") == SCENE.place(level=7)


def test_a_named_step_is_that_of_the_network_that_the_term_names():
    short = CELLS["LeNet, short"]
    assert SCENE.place(level=7, rewind="k1000") == place(LENET.but(level=7, rewind=1000))
    assert SCENE.place(level=7, rewind="k1000", network="LeNet, short") == place(short.but(level=7, rewind=100))
    assert at("LeNet, short").place(level=7, rewind="k1000") == place(short.but(level=7, rewind=100))
    with pytest.raises(BadInput, match="step 'soon' of LeNet, short"):
        SCENE.place(level=7, rewind="soon", network="LeNet, short")


def test_a_network_that_the_profile_lacks_has_no_place():
    assert SCENE.place(level=7, network="VGG-16") is None
    assert at("VGG-16").place(level=7) is None
    assert NETWORKS.described("VGG-16") is None


def test_a_network_is_described_by_what_is_unlike_a_plain_cell():
    assert NETWORKS.described("LeNet") == {"steps": 24_000}
    assert NETWORKS.described("ResNet-20") == {"model": "resnet-20"}
    assert NETWORKS.described("LeNet, short") == {"steps": 2400, "named steps": {"k1000": 100, "k500": 50}}


# names in an entry


def test_mentioned_finds_all_names_wherever_they_stand():
    entry = {
        "id": "X1", "network": "own", "statement": "LeNet", "forks": {"inputs": "fork", "augment": "another fork"},
        "contrast": {
            "stat": "tt",
            "plus": {"arm": "ticket", "network": "plus", "level": {"best": [1, 2], "by": "test_accuracy"}},
            "minus": {"arm": "reinit", "network": {"best": ["low", "high"], "by": "validation_accuracy"}},
        },
        "matching": {"plus": {"arm": "ticket", "network": ["first", "second"]}, "minus": {"arm": "ticket"}},
        "anchors": {"stat": "test_accuracy_end", "band": [97, 98], "network": "anchor"},
        "assay": {"plus": {"arm": "ticket"}, "minus": {"arm": "random", "network": "assay"}},
        "cases": [{"network": "case", "margin": 0.5}, {"network": "another case", "margin": 0.5}],
        "parts": [{"id": "X1.a", "network": "part", "anchors": None}, {"id": "X1.b", "forks": {"inputs": "part's"}}],
    }  # fmt: skip
    assert sorted(mentioned(entry)) == sorted(
        ["own", "fork", "another fork", "plus", "low", "high", "first", "second", "anchor", "assay", "case",
         "another case", "part", "part's"]
    )  # fmt: skip


def test_mentioned_in_the_book_s_own_claims():
    entries = claims.load()
    rates = {"LeNet", "LeNet, rate 6e-4", "LeNet, rate 2.4e-3", "LeNet, standardized pixels"}
    assert set(mentioned(entries["L4c-lr"])) == rates
    assert set(mentioned(entries["L9b"])) == {"Conv-4", "Conv-6", "Conv-4, dropout", "Conv-6, dropout"}
    assert set(mentioned(entries["L10a"])) == {"VGG-19", "VGG-19, warmup"}
    assert set(mentioned(entries["M2"])) == {"LeNet", "ResNet-20", "ResNet-20, low rate", "ResNet-20, warmup"}
