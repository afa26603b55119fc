"""The benchmark in its shortest form, so that it cannot rot; and the arithmetic of its verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plan import DBOS, FLOOR, PERDURE, SMOKE, Measurement, Peer
from benchmarks.run import Reading, Results
from benchmarks.summary import Spread, Summary, percentile
from benchmarks.targets import judge

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_the_shortest_run_measures_every_peer(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks", "--size", "smoke", "--out", str(tmp_path), "--json"]
    run = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    measured = {(row["peer"], row["steps"], row["concurrency"]) for row in answer["summary"]}
    assert measured == {
        (peer.name, m.steps, m.concurrency) for peer in SMOKE.peers for m in SMOKE.measurements(peer)
    }
    assert all(row["p50_ms"]["median"] > 0 for row in answer["summary"])
    judged = [target for target in answer["targets"] if target["verdict"] != "not measured here"]
    assert {target["target"] for target in judged} == {"gate", "gate, like for like", "1", "2", "4", "7"}
    # The one verdict that depends on no clock.
    assert all(t["passed"] for t in judged if "history event" in t["wanted"] or "per wait" in t["wanted"])
    (kept,) = tmp_path.glob("*.json")
    document = json.loads(kept.read_text())
    assert sum(len(reading["latencies_ms"]) for reading in document["raw"]) == sum(
        m.count for peer in SMOKE.peers for m in SMOKE.measurements(peer)
    )
    assert "## Targets" in kept.with_suffix(".md").read_text()


def reading(round: int, peer: Peer, latency: float, per_second: float, users: int = 25) -> Reading:
    latencies = [latency, latency, latency * 2]
    return Reading(
        round, peer.name, Measurement(5, users, 3), latencies, 3 / per_second, {"node": 10.0, "postgres": 3.0}
    )


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that slows down for a whole round changes no ratio."""
    rounds = [(1, 10.0, 50.0), (2, 40.0, 12.5), (3, 20.0, 25.0)]
    summary = Summary(
        [
            reading(number, peer, latency * factor, per_second / factor, users)
            for number, latency, per_second in rounds
            for peer, factor in ((PERDURE, 1.5), (DBOS, 1.0))
            for users in (1, 25)
        ]
    )
    slower, through = (
        summary.p50_ratio(PERDURE, DBOS, 5, 1),
        summary.throughput_ratio(PERDURE, DBOS, 5, 25),
    )
    assert slower is not None
    assert through is not None
    assert (slower.median, slower.low, slower.high) == pytest.approx((1.5, 1.5, 1.5))
    assert through.median == pytest.approx(1 / 1.5)
    assert summary.p50_ratio(PERDURE, FLOOR, 5, 1) is None


def test_a_verdict_says_pass_fail_or_not_measured_and_the_cause() -> None:
    readings = [
        reading(1, peer, latency, per_second, users)
        for peer, latency, per_second in ((PERDURE, 20.0, 40.0), (DBOS, 30.0, 60.0))
        for users in (1, 25)
    ]
    verdicts = judge(Results("smoke", 1, readings), cores=2)
    gate = {verdict.wanted: verdict for verdict in verdicts if verdict.target == "gate"}
    assert gate["5 steps: p50 ≤ 1 x dbos"].word == "PASS"
    failed = gate["throughput ≥ 1 x dbos"]
    assert failed.word == "FAIL"
    assert "2 cores allow at most 154/s" in failed.cause
    assert {v.word for v in verdicts if v.target in ("2", "7")} == {"not measured here"}


def test_fairness_compares_the_quiet_tenant_with_itself() -> None:
    seen = {"flood": 9, "idle_ms": [10.0] * 20, "accepted_seconds": 1.0, "drained_seconds": 2.0}
    readings = [reading(1, PERDURE, 20.0, 40.0)]
    for slowed, word in ((29.0, "PASS"), (31.0, "FAIL")):
        results = Results("smoke", 1, readings, fairness={**seen, "during_ms": [10.0] * 15 + [slowed] * 5})
        assert judge(results, 2)[-1].word == word


def test_spread_and_percentile() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 1.5, 2.5)
    assert Spread.of([4.0]) == Spread(4.0, 4.0, 4.0, 4.0, 4.0)
    assert percentile(range(1, 101), 0.95) == 95
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0], 0.5) == 1.0
