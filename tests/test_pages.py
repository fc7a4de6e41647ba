"""Pieces of a chapter's page: what is listed as waiting, as open, and what is left out."""

import pandas as pd
import pytest
from tickets import pages, scorecard

EMPTY = dict.fromkeys(scorecard.COLUMNS, "")
VERDICTS = {"L1": "reproduced", "L2a": "inconclusive: n = 5 of 10", "L12": "contradicted", "L4a": "not run"}


@pytest.fixture
def judged(monkeypatch):
    """A chapter of four claims, one with a part."""
    numbers = {"ours": 1.0, "low": 0.5, "high": 1.5, "theirs": 2.0, "q": 0.01, "scope": "paper", "profile": "paper"}
    rows = [
        {**EMPTY, **numbers, "claim": claim, "statement": f"What {claim} says", "verdict": verdict}
        | {"n": 5 if "5 of 10" in verdict else 10, "paper": "frankle2019lottery", "needs": "time"}
        for claim, verdict in VERDICTS.items()
    ]
    rows.append({**rows[0], "claim": "L1.part", "scope": "part"})
    monkeypatch.setattr(pages, "judged", lambda results, profile, studies: pd.DataFrame(rows))
    return pages.Judged(None, "01_winning_tickets", "paper")


def test_claims_short_of_replicates_wait_and_the_rest_is_listed(judged):
    text = judged.unsettled().data
    assert "Waiting for more replicates: L2a." in text
    assert "What L12 says" in text
    assert not any(f"What {claim} says" in text for claim in ("L1", "L2a", "L4a"))


def test_claims_are_shown_by_name_with_their_parts(judged):
    text = judged("L1").data
    assert "L1.part" in text
    assert "L12" not in text


def test_the_overview_has_every_claim_of_the_chapter_to_link_to(judged):
    text = judged.overview().data
    assert all(f'id="claim-{claim}"' in text for claim in VERDICTS)
    assert 'id="claim-L1.part"' not in text
