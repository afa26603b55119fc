"""What the rig says of itself must be true: kills that hit nobody do not count, and gaps are told."""

import asyncio
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults.campaign import FAILPOINTS, Campaign, Outcome, long, short
from tests.faults.conducting import conduct
from tests.faults.holding import logged
from tests.faults.report import summary, write
from tests.faults.rig import Rig
from tests.faults.timeline import Timeline

URN = "urn:uuid:7d2b7f0e-5d58-4a7e-8d2c-0b5d8b8a3c11"


def _outcome(seed: int, **hits: int) -> Outcome:
    outcome = Outcome(long(seed), Timeline())
    for way, number in hits.items():
        for _ in range(number):
            outcome.timeline.strike("worker kill", f"kill -9 worker-1 {way}").failpoint = way.replace(
                "_", " "
            )
    return outcome


def test_a_campaign_that_missed_a_failpoint_says_so(tmp_path: Path) -> None:
    enough = {way.replace(" ", "_"): number for way, number in FAILPOINTS.items()}
    assert _outcome(1, **enough).missing == []
    outcome = _outcome(1, **{**enough, "after_effect": 1})
    assert outcome.missing == [f"kill after effect: 1 of at least {FAILPOINTS['after effect']}"]
    assert f"FAIL: {outcome.missing[0]}" in summary(outcome)
    assert f"FAIL: {outcome.missing[0]}" in write(outcome, tmp_path).read_text()


def test_reports_of_one_day_stand_side_by_side(tmp_path: Path) -> None:
    assert write(_outcome(1), tmp_path) != write(_outcome(2), tmp_path)
    assert len(list(tmp_path.glob("faults-*.md"))) == 2
    assert len(list(tmp_path.glob("faults-*.json"))) == 2


def test_an_unexpected_fault_is_quoted_from_the_log_it_stands_in(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text(f'other line\n{{"event": "unexpected error {URN}", "at": "here"}}\n')
    offence = f'POST /v1/x: 500 {{"instance": "{URN}"}}'
    assert logged(tmp_path, offence) == f'\n  api.log: {{"event": "unexpected error {URN}", "at": "here"}}'
    assert "no log in" in logged(tmp_path, offence.replace("7d2b", "8d2b"))
    assert logged(tmp_path, "GET /v1/x: 503 without Retry-After") == ""


async def test_a_process_dies_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, random.Random(1), Timeline())
    with subprocess.Popen(  # noqa: ASYNC220  nobody else runs on this loop
        [sys.executable, "-c", "import time; time.sleep(60)"]
    ) as process:
        # A process that nobody has waited for: its supervisor still takes it for alive.
        child = SimpleNamespace(pid=process.pid, returncode=None)
        rig.stack.supervisor.watched["worker-1"] = SimpleNamespace(child=child)
        assert rig.kill("worker-1")
        assert not rig.kill("worker-1"), "struck already"
        child.returncode = -9
        assert not rig.kill("worker-1"), "dead"


def test_a_broken_campaign_leaves_its_logs_and_a_whole_one_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken: list[str] = []

    async def run(self: Campaign) -> Outcome:
        (self._folder / "api.log").write_text("a line")
        self.outcome.broken = list(broken)
        return self.outcome

    monkeypatch.setattr(Campaign, "run", run)
    asyncio.run(conduct(short(1)))
    assert list(tmp_path.iterdir()) == []
    broken.append("invariant 8: POST /v1/x: 500")
    asyncio.run(conduct(short(1)))
    assert [path.name for path in tmp_path.rglob("*.log")] == ["api.log"]
