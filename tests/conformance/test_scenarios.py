"""Every scenario of our own in memory: the interpreter and the real actions, without a server."""

import pytest

from domain.errors import Invalid
from tests.conformance.memory import NEW_YEAR, Memory
from tests.conformance.scenario import SCENARIOS, Scenario, hold

RUN = [scenario for scenario in SCENARIOS if scenario.refused is None]
REFUSED = [scenario for scenario in SCENARIOS if scenario.refused is not None]
#: So little that nearly every activation runs out of it.
LITTLE = 120


@pytest.mark.parametrize("scenario", RUN, ids=str)
def test_in_memory(scenario: Scenario) -> None:
    hold(scenario, Memory.of(scenario).run())


@pytest.mark.parametrize("scenario", RUN, ids=str)
def test_with_little_fuel_it_comes_to_the_same(scenario: Scenario) -> None:
    hold(scenario, Memory.of(scenario, fuel=LITTLE).run())


@pytest.mark.parametrize("scenario", REFUSED, ids=str)
def test_refused(scenario: Scenario) -> None:
    with pytest.raises(Invalid) as refusal:
        Memory.of(scenario)
    assert scenario.refused in {problem.code for problem in refusal.value.problems}


def test_a_year_is_waited_for() -> None:
    """The clock jumps: through a wait of a year, and through twelve months of a loop in a branch beside it."""
    year = {"rest": {"wait": "P365D"}}
    months = {
        "months": {"for": {"in": "[range(12)]"}, "do": [{"rest": {"wait": "P30D"}}, {"n": {"set": "$index"}}]}
    }
    do = [
        {"both": {"fork": {"branches": [{"year": {"do": [year]}}, months]}}},
        {"done": {"set": {"ok": True}}},
    ]
    run = Memory.of(Scenario(theme="time", title="a year", do=do))
    assert run.run().output == {"ok": True}
    assert run.now - NEW_YEAR >= 365 * 24 * 3600 * 1000


def test_there_is_a_scenario_for_every_pitfall() -> None:
    """The numbers are those of the list of what naive engines do wrong, see `docs/conformance.md`."""
    assert {number for scenario in SCENARIOS for number in scenario.pitfalls} == set(range(1, 22))
    assert len(SCENARIOS) >= 100
