"""What `docs/score.md` says of the score is what the score does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from watch_figures import host, http_host, is_down, was_down

from watch import score
from watch.score import WEIGHTS, Beats, Figures, Weight, score_host

PAGE = (Path(__file__).parents[2] / "docs" / "score.md").read_text(encoding="utf-8")
HOSTS: dict[str, Figures] = {
    "a boring machine": host(),
    "it is late": host(state="late"),
    "it lost one heartbeat today": host(beats_24_hours=Beats(1_440, 1), beats_7_days=Beats(10_080, 1)),
    "down for five minutes, an hour ago": host(was_down(5, days_ago=1 / 24)),
    "… three days ago": host(was_down(5, days_ago=3)),
    "… three weeks ago": host(was_down(5, days_ago=21)),
    "down for three days, until yesterday": host(was_down(3 * 1_440, days_ago=4)),
    "down for ten minutes three times this week, and it loses 4 % of its heartbeats": host(
        *(was_down(10, days_ago=days) for days in (2, 4, 6)), beats_7_days=Beats(10_000, 400)
    ),
    "it fell a minute ago": host(is_down(days=1 / 1_440), state="offline"),
    "it fell two days ago": host(is_down(days=2), state="offline"),
    "it is online, and was down four times within the last hour": host(
        *(was_down(2, days_ago=minutes / 1_440) for minutes in (5, 15, 25, 35)), flapping=True
    ),
    "it is away, as announced": host(is_down(days=0.1, cause="away"), state="away"),
    "it speaks HTTP": http_host(),
    "it is new": host(state="new"),
}


def rows(columns: int) -> list[list[str]]:
    """The rows of the table with so many columns, without its head."""
    lines = [re.split(r" *\| *", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("|")]
    return [cells for cells in lines if len(cells) == columns and not cells[0].startswith("---")][1:]


def test_the_table_of_weights_is_that_of_the_module() -> None:
    table = {
        name.strip("`"): Weight(int(points), float(free), float(full), 0.5 if "square root" in what else 1.0)
        for name, points, what, free, full in rows(5)
    }
    assert table == WEIGHTS


def test_weights_add_up_to_100_and_every_part_is_measured() -> None:
    assert sum(weight.points for weight in WEIGHTS.values()) == 100
    assert all(weight.free < weight.full for weight in WEIGHTS.values())


@pytest.mark.parametrize(
    "words",
    [
        f"counts as {score.IN_24_HOURS + score.IN_7_DAYS + score.IN_30_DAYS:g} in its first 24 hours",
        f"as {score.IN_7_DAYS + score.IN_30_DAYS:g} until it is 7 days old",
        f"as {score.IN_30_DAYS:g} until it is 30 days old",
        f"{score.OUTAGE_HOURS:g} hours of being down count as another one",
        f"they are taken to be {score.LEAST_BEATS} at least",
        f"Ten in a hundred cost all {WEIGHTS['loss'].points}",
        f"below {score.LEAST_LATENCY_SECONDS:g} s is taken as {score.LEAST_LATENCY_SECONDS:g} s",
        f"it loses {WEIGHTS['present'].points}, and 13 at least for an outage of today",
    ],
)
def test_the_other_numbers_are_those_of_the_module(words: str) -> None:
    assert words in " ".join(PAGE.split())


def test_every_host_of_the_page_has_the_score_that_the_page_says() -> None:
    assert dict(rows(2)) == {name: score_host(figures).words for name, figures in HOSTS.items()}
