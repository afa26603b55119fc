"""What a campaign did and found, for people and for the record."""

import json
import math
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.campaign import Outcome

INVARIANTS = {
    1: "Every 2xx trigger has one row and one workflow id and ended in time; an unknown answer became 0 or 1 "
    "execution; the same key got the same id",
    2: "The mirror agrees with Temporal in both directions; what ended stayed as it ended; step logs have no gap and "
    "are the same for the same path",
    3: "At most one distinct accepted effect for each step, exactly one where it succeeded (partner, mail, rows)",
    6: "No organization's rows hold another's data; no secret where secrets must not be",
    7: "The outbox is empty; nothing runs in Temporal without its row; no task of a closed execution is open",
    8: "No HTTP 500; every 503 says Retry-After",
}


def facts(outcome: Outcome) -> dict[str, Any]:
    plan = outcome.plan
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(outcome.timeline.started[0])),
        "commit": _commit(),
        "seed": plan.seed,
        "phases": [list(topology) for topology in plan.phases],
        "seconds": round(outcome.timeline.now(), 1),
        "faults": dict(sorted(outcome.counts.items())),
        "ways": _ways(outcome),
        "failpoints": dict(sorted(outcome.failpoints.items())),
        "missing": outcome.missing,
        "executions": {"triggered": dict(outcome.sent), "ended": dict(outcome.ends)},
        "unknown_answers_never_repeated": outcome.unknown,
        "answers": dict(outcome.answers),
        "samples_of_all_rows": outcome.looks,
        "recovery_seconds": recoveries(outcome, alone=False),
        "recovery_seconds_of_lone_faults": recoveries(outcome, alone=True),
        "violations": outcome.broken,
        "timeline": [[round(moment, 2), text] for moment, text in outcome.timeline.entries],
    }


def recoveries(outcome: Outcome, *, alone: bool) -> dict[str, dict[str, float]]:
    """By kind; `alone`: only of blows between whose beginning and recovery no other blow fell."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    blows = outcome.timeline.blows
    for blow in blows:
        recovery, served = blow.recovery, blow.served
        if recovery is None or served is None:
            continue
        others = [each for each in blows if each is not blow and each.began < served]
        if alone and any(each.served is None or each.served > blow.began for each in others):
            continue
        seconds[blow.kind].append(recovery)
        seconds["all"].append(recovery)
    return {
        kind: {
            "n": len(found),
            "p50": percentile(found, 0.5),
            "p99": percentile(found, 0.99),
            "max": round(max(found), 2),
        }
        for kind, found in sorted(seconds.items())
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, in hundredths of a second."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)


def summary(outcome: Outcome) -> str:
    lines = [f"seed {outcome.plan.seed}, {outcome.timeline.now():.0f} s"]
    lines += [f"  {number:4} {kind}" for kind, number in sorted(outcome.counts.items())]
    lines.append(f"  executions by kind {dict(outcome.sent)}, by end {dict(outcome.ends)}")
    lines.append(f"  answers {dict(outcome.answers)}, never repeated after silence: {outcome.unknown}")
    for alone, of in ((False, "of all"), (True, "of lone faults")):
        whole = recoveries(outcome, alone=alone).get("all")
        if whole:
            lines.append(f"  recovery {of} {whole['n']}: p50 {whole['p50']} s, p99 {whole['p99']} s")
    lines.append(f"  kills at failpoints {dict(outcome.failpoints)}")
    lines.append("all invariants hold" if not outcome.broken else "\n\n".join(["BROKEN", *outcome.broken]))
    lines += [f"FAIL: {missing}" for missing in outcome.missing]
    return "\n".join(lines)


def write(outcome: Outcome, folder: Path) -> Path:
    """`faults-<date>-<seed>.json` with everything, `….md` to read; returns the latter."""
    found = facts(outcome)
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"faults-{found['date'][:10]}-{found['seed']}"
    base.with_suffix(".json").write_text(json.dumps(found, indent=1, default=str) + "\n")
    base.with_suffix(".md").write_text(_page(outcome, found))
    return base.with_suffix(".md")


def _page(outcome: Outcome, found: dict[str, Any]) -> str:
    broken = {
        number: [text for text in outcome.broken if text.startswith(f"invariant {number}:")]
        for number in INVARIANTS
    }
    lines = [
        f"# Faults, {found['date'][:10]}",
        "",
        f"`make faults` with seed {found['seed']} at commit {found['commit']}, {found['seconds']:.0f} s; phases: "
        + "; ".join(", ".join(each) for each in found["phases"])
        + f". Repeat: `python -m tests.faults --seed {found['seed']}`.",
        "",
        "| fault | times | how |",
        "|---|---|---|",
        *(f"| {kind} | {number} | {found['ways'][kind]} |" for kind, number in found["faults"].items()),
        "",
        f"Kills exactly at a failpoint: {found['failpoints']}."
        + "".join(f" FAIL: {missing}." for missing in outcome.missing),
        "",
        f"Executions: {sum(found['executions']['triggered'].values())} triggered {found['executions']['triggered']}, "
        f"ended {found['executions']['ended']}. Triggers whose answer was lost and which nobody repeated at once: "
        f"{found['unknown_answers_never_repeated']}. Answers of the API: {found['answers']}. "
        f"All rows were sampled {found['samples_of_all_rows']} times during the run.",
        "",
        "| invariant | |",
        "|---|---|",
        *(
            f"| {number}. {text} | {'holds' if not broken[number] else f'BROKEN ({len(broken[number])})'} |"
            for number, text in INVARIANTS.items()
        ),
        "",
        "Seconds from the end of the cause (the process may start again, the link flows) until a fresh execution, "
        "triggered over HTTP, had completed. Most faults fell while an earlier one was still felt; "
        "lone ones did not.",
        "",
        "| after | all: n | p50 | p99 | max | lone: n | p50 | p99 | max |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {kind} | {_cells(each)} | {_cells(found['recovery_seconds_of_lone_faults'].get(kind))} |"
            for kind, each in found["recovery_seconds"].items()
        ),
        "",
        *outcome.broken,
    ]
    return "\n".join(lines).rstrip() + "\n"


def _cells(found: dict[str, float] | None) -> str:
    return " | ".join(str(found[name]) if found else "" for name in ("n", "p50", "p99", "max"))


def _ways(outcome: Outcome) -> dict[str, str]:
    """How each kind came, numbers left out."""
    ways: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for blow in outcome.timeline.blows:
        what = " ".join(word for word in blow.what.split() if not word[0].isdigit())
        what = (
            what.replace(" for s", "").replace(", again after s", "").replace(" after bytes of an answer", "")
        )
        ways[blow.kind][what] += 1
    return {
        kind: ", ".join(f"{what} ({number})" for what, number in sorted(found.items()))
        for kind, found in ways.items()
    }


def _commit() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
