"""The page that joins the chapters says what the table of claims says, and where that is nothing, so much."""

import re

import pytest
from tickets.book import questions, scorecard
from tickets.chapters import regimes
from tickets.files import BOOK

NOW = scorecard.read(BOOK / "results/claims.csv")


def word(row):
    return scorecard.verdict(row)[0]


def shown(rows):
    """The page on these rows of claims.csv."""
    found = regimes.joined(rows, word, questions.every())
    return scorecard.html("joined", *found, questions.about(), rows)


def with_verdicts(*, held=(), failed=()):
    """The claims of now, of which only some were judged."""
    said = dict.fromkeys(held, "reproduced") | dict.fromkeys(failed, "not reproduced")
    return {name: {**row, "verdict": said.get(name, "not run")} for name, row in NOW.items()}


def test_every_judged_claim_is_a_chip_that_leads_to_its_row():
    page = shown(NOW)
    counted = {n: row for n, row in NOW.items() if row["scope"] in ("paper", "analog", "finding")}
    judged = [name for name, row in counted.items() if word(row) != "not run"]
    chips = re.findall(r'<a class="verdict ([\w-]+)" href="notebooks/(\w+)\.html#claim-([\w.-]+)"', page)
    assert sorted(claim for _, _, claim in chips) == sorted(judged)
    assert all(kind == word(NOW[claim]).replace(" ", "-") for kind, _, claim in chips)
    assert all(f'{asked.link}">' in page for asked in questions.every() if set(asked.claims) & set(judged))


@pytest.mark.parametrize("axis", regimes.AXES)
def test_where_nothing_ran_it_says_so(axis):
    part = shown(with_verdicts()).split(f'id="by-{axis.replace(" ", "-")}"')[1].split("<h3")[0]
    assert "Nothing is decided yet: every claim is open or not run." in part
    assert "reproduced</th>" in part


def test_one_value_tells_nothing():
    part = shown(with_verdicts(held=["L1", "L2a"])).split('id="by-network"')[1].split("<h3")[0]
    assert "It cannot be told: all 2 decided claims are at one value, LeNet." in part


def test_two_values_are_counted_and_compared():
    held, failed = ["L1", "L2a", "L3a", "L4b", "L4c"], ["L10a", "L10b", "L10c", "M1-vgg"]
    part = shown(with_verdicts(held=held, failed=failed)).split('id="by-network"')[1].split("<h3")[0]
    assert "LeNet: 5 of 5 reproduced; VGG: 0 of 4 reproduced." in part
    assert "They differ, p&nbsp;=&nbsp;0.0079." in part  # one of 126 tables with these margins
    assert "Nothing decided: " in part
