"""Branches of the ladder: what each arm shares with the ticket, and what it does not."""

import numpy as np
import pytest
from short_chain import MODEL, NET, final_of, mask_of, start_of
from tickets.arms import ARMS
from tickets.errors import BadInput
from tickets.pruning import imp
from tickets.running import plan, run, work
from tickets.training.train import train


def test_reinit_shares_the_mask_and_not_the_weights(trained):
    ticket = mask_of(trained, NET.but(level=3))
    fresh = [start_of(trained, arm="reinit", level=3, draw=draw) for draw in (1, 2)]
    init = imp.initial(NET, MODEL)
    for weights, mask in fresh:
        assert all((mask[name] == ticket[name]).all() for name in ticket)
        assert (weights["fc1.weight"] != init["fc1.weight"]).mean() > 0.99
        assert weights["fc1.weight"].std() == pytest.approx(init["fc1.weight"].std(), rel=0.03)
    assert (fresh[0][0]["fc1.weight"] != fresh[1][0]["fc1.weight"]).mean() > 0.99
    deeper = start_of(trained, arm="reinit", level=4, draw=1)[0]
    np.testing.assert_array_equal(deeper["fc1.weight"], fresh[0][0]["fc1.weight"])  # one redraw for every level


def test_random_has_the_counts_of_the_ticket_elsewhere(trained):
    ticket = mask_of(trained, NET.but(level=3))
    weights, mask = start_of(trained, arm="random", level=3)
    assert mask.counts() == ticket.counts()
    density = ticket["fc1.weight"].mean()
    assert (mask["fc1.weight"] & ticket["fc1.weight"]).mean() == pytest.approx(density**2, abs=0.02)  # by chance
    np.testing.assert_array_equal(weights["fc1.weight"], imp.initial(NET, MODEL)["fc1.weight"])
    other = start_of(trained, arm="random", level=3, draw=1)[1]
    assert (other["fc1.weight"] != mask["fc1.weight"]).any()
    assert (start_of(trained, arm="random", level=3, replicate=1)[1]["fc1.weight"] != mask["fc1.weight"]).any()


def test_random_open_leaves_the_output_dense(trained):
    ticket = mask_of(trained, NET.but(level=3))
    _, mask = start_of(trained, arm="random_open", level=3)
    assert mask.counts() == {**ticket.counts(), "fc3.weight": 1000}
    closed = start_of(trained, arm="random", level=3)[1]
    np.testing.assert_array_equal(mask["fc1.weight"], closed["fc1.weight"])


def test_one_shot_prunes_the_dense_network_once_to_the_counts_of_the_ladder(trained):
    dense = final_of(trained, NET)
    weights, mask = start_of(trained, arm="one_shot", level=4)
    assert mask.counts() == mask_of(trained, NET.but(level=4)).counts()
    for name, kept in mask.items():
        assert np.abs(dense[name])[kept].min() >= np.abs(dense[name])[~kept].max()
    np.testing.assert_array_equal(weights["fc1.weight"], imp.initial(NET, MODEL)["fc1.weight"])
    between = start_of(trained, arm="one_shot", level=2.5)[1]
    hidden = [round(size * 0.8**2.5) for size in (19_200, 30_000)]
    assert list(between.counts().values()) == [*hidden, round(1000 * 0.9**2.5)]


def test_redraw_takes_values_from_the_layers_own_kept_initial_weights(trained):
    ticket, init = mask_of(trained, NET.but(level=3)), imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="redraw", level=3)
    for name, kept in ticket.items():
        np.testing.assert_array_equal(mask[name], kept)
        pool, drawn = set(init[name][kept].tolist()), weights[name][kept].tolist()
        assert set(drawn) <= pool
        assert len(set(drawn)) == pytest.approx(len(drawn) * (1 - np.exp(-1)), rel=0.1)  # with replacement
        assert (weights[name][kept] == init[name][kept]).mean() < 0.05
        assert weights[name].shape == kept.shape
        assert weights[name].dtype == init[name].dtype
    np.testing.assert_array_equal(weights["fc1.bias"], init["fc1.bias"])


def test_magnitude_at_init_keeps_the_largest_initial_weights(trained):
    init = imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="magnitude_at_init", level=3)
    assert mask.counts() == mask_of(trained, NET.but(level=3)).counts()
    for name, kept in mask.items():
        assert np.abs(init[name])[kept].min() >= np.abs(init[name])[~kept].max()
        np.testing.assert_array_equal(weights[name], init[name])


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_noise_has_the_stated_size(trained, sigma):
    init = imp.initial(NET, MODEL)
    weights, mask = start_of(trained, arm="noise", level=3, sigma=sigma)
    ticket = mask_of(trained, NET.but(level=3))
    for name, kept in ticket.items():
        np.testing.assert_array_equal(mask[name], kept)
        noise = weights[name] - init[name]
        assert noise.std() == pytest.approx(sigma * init[name].std(), rel=4 / np.sqrt(2 * noise.size))
        assert abs(np.corrcoef(noise.ravel(), init[name].ravel())[0, 1]) < 5 / np.sqrt(noise.size)
        assert weights[name].dtype == np.float32
    np.testing.assert_array_equal(weights["fc2.bias"], init["fc2.bias"])
    again = start_of(trained, arm="noise", level=4, sigma=sigma)[0]
    np.testing.assert_array_equal(again["fc1.weight"], weights["fc1.weight"])


def test_finetuning_starts_where_the_mask_was_read(trained):
    weights, mask = start_of(trained, arm="finetune", level=3)
    source = final_of(trained, NET.but(level=2))
    for name, array in source.items():
        np.testing.assert_array_equal(weights[name], array)
    ticket = mask_of(trained, NET.but(level=3))
    assert all((mask[name] == ticket[name]).all() for name in ticket)


def test_all_arms_train(trained, begun):
    """Each arm of the first two chapters through `run`, under the mask that its start says; others have their own."""
    first = ("tickets.chapters.winning_tickets", "tickets.chapters.linear_mode_connectivity")
    arms = [name for name, arm in ARMS.items() if arm.start and arm.start.__module__.startswith(first)]
    own = {"noise": {"sigma": 0.5}, "pulled": {"pull": 1}, "pulled_reinit": {"pull": -1}}
    cells = [NET.but(arm=arm, level=2, draw=1, **own.get(arm, {})) for arm in arms]
    table = run.run(cells, engine="serial", store=trained)
    assert table["arm"].tolist() == arms
    assert len(arms) >= 11
    assert (table["test_accuracy"] > 30).all()
    for cell, row in zip(cells, table.itertuples(), strict=True):
        weights, mask, start = begun[cell]
        assert start == 0
        assert mask.kept == row.kept
        assert all((weights[name][~kept] == 0).all() for name, kept in mask.items())
        assert not trained.has_tensors(cell)  # nothing starts from them


def cosine(weights, goal, mask):
    one, other = (np.concatenate([w[name][mask[name]] for name in mask]) for w in (weights, goal))
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_a_pulled_ticket_ends_nearer_to_what_its_mask_was_read_from(trained):
    """And a pushed one further away; the weights of a population of both are those of each alone."""
    cells = [NET.but(arm="pulled", level=2, pull=pull) for pull in (-50, 50)]
    goal = final_of(trained, NET.but(level=1))
    mask = mask_of(trained, NET.but(level=2))
    starts = imp.starts(cells, MODEL, trained)
    for cell, start in zip(cells, starts, strict=True):
        assert start.pull == cell.own["pull"]
        for name, array in goal.items():
            np.testing.assert_array_equal(start.goal[name], array)
    together, _ = train(cells, MODEL, starts, path="autograd")
    ends = together[0].weights, final_of(trained, NET.but(level=2)), together[1].weights
    pushed, left_alone, pulled = (1 - cosine(weights, goal, mask) for weights in ends)
    assert pushed > 2 * left_alone
    assert pulled < 0.5 * left_alone
    for cell, start, outcome in zip(cells, starts, together, strict=True):
        (alone,), _ = train([cell], MODEL, [start])
        for name, array in alone.weights.items():
            np.testing.assert_allclose(outcome.weights[name], array, rtol=0, atol=1e-10)


def test_only_pulled_arms_have_a_pull():
    lines = ({"arm": "chord", "pull": 2}, {"arm": "chord", "subject": "pulled"})
    for fields in ({"pull": 1.0}, {"arm": "pulled"}, {"arm": "reinit", "draw": 1, "pull": -1.0}, *lines):
        with pytest.raises(BadInput, match="pull"):
            NET.but(level=2, **fields)
    two = NET.but(level=2)
    assert two.but(arm="pulled_reinit", draw=1, pull=2).parents() == [NET.but(level=1), two]
    ends = two.but(arm="chord", subject="pulled", pull=2).parents()
    assert ends == [two.but(arm="pulled", pull=2, order=order) for order in (0, 1)]


def test_the_dense_path_starts_where_the_ticket_starts(trained, begun):
    """Control C8: what differs is the path alone."""
    ticket, again = NET.but(level=3), NET.but(level=3, arm="dense_path")
    work.compute((ticket,), trained, "cpu", plan.leaves(plan.closure([ticket])))  # again, so that its start is seen
    table = run.run([ticket, again], engine="serial", store=trained)
    assert table["path"].tolist() == ["mlp", "mlp-dense"]
    for name, array in begun[ticket][0].items():
        np.testing.assert_array_equal(array, begun[again][0][name])
    assert begun[ticket][1].counts() == begun[again][1].counts()
    assert abs(table["test_accuracy_end"].diff().iloc[1]) < 3
