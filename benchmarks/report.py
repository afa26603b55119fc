"""What is kept of a run: everything in JSON, and a page a person can read."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.plan import PEERS, Peer
from benchmarks.run import Results
from benchmarks.summary import Spread, Summary
from benchmarks.targets import N8N_PER_SECOND, Verdict

METHOD = """\
Every peer is a process tree of its own with its own servers and its own load generator. In each round the peers take
turns in an order drawn from the seed; whoever is not measured stands still (SIGSTOP for the whole tree). Before each
turn a few executions warm up what stood still. Latency: one user who starts again when answered. Throughput: 10 or
25 such users. Figures are medians over the rounds of each round's value, `[lowest..highest]`; ratios are taken within
each round. Raw samples are in the JSON beside this page."""


def write(results: Results, verdicts: Sequence[Verdict], about: dict[str, Any], stem: Path) -> None:
    """Write `stem`.json and `stem`.md."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    document = as_json(results, verdicts, about)
    document["raw"] = [asdict(reading) for reading in results.readings]
    stem.with_name(stem.name + ".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    stem.with_name(stem.name + ".md").write_text(page(results, verdicts, about), encoding="utf-8")


def as_json(results: Results, verdicts: Sequence[Verdict], about: dict[str, Any]) -> dict[str, Any]:
    """The whole outcome but the raw samples."""
    return {
        **about,
        "size": results.size,
        "seed": results.seed,
        "seconds": round(results.seconds, 1),
        "dbos_shapes": results.shapes,
        "targets": [{**asdict(verdict), "verdict": verdict.word} for verdict in verdicts],
        "summary": Summary(results.readings).as_json(_measured(results)),
        "histories": results.histories,
        "fairness": results.fairness,
    }


def page(results: Results, verdicts: Sequence[Verdict], about: dict[str, Any]) -> str:
    """Markdown."""
    machine, versions = about["machine"], about["versions"]
    return "\n".join(
        [
            f"# Benchmark of {about['date']}, commit {about['commit']}",
            "",
            f"`{results.size}` run, seed {results.seed}, {results.seconds / 60:.1f} minutes. {machine['processor']},"
            f" {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}; load before"
            f" {machine['load_before'][0]}; fsync of 4 KB {machine['disk']['fsync_ms_p50']} ms on"
            f" {machine['disk']['file_system']}.",
            "",
            about["durability"] + ".",
            "",
            "## Targets",
            "",
            *_table(
                ("", "target", "wanted", "found", "cause"),
                ((v.word, v.target, v.wanted, v.found, v.cause) for v in verdicts),
            ),
            "",
            "## Measured",
            "",
            *_table(
                (
                    *("peer", "steps", "at once", "p50 ms", "p95 ms", "runs/s"),
                    "processor ms per execution",
                ),
                _rows(results),
            ),
            "",
            f"n8n is not measured here: {N8N_PER_SECOND}/s and 60 ms in the design's table, on another day.",
            "",
            "Peers:",
            "",
            *(f"- {peer.name}: {peer.title}" for peer in _measured(results)),
            "",
            "DBOS's shape per number of users, chosen while warming up: "
            + "; ".join(f"{users}: {seen['used']}" for users, seen in results.shapes.items())
            + ".",
            "",
            "## Method",
            "",
            METHOD,
            "",
            "## Versions and settings",
            "",
            ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
            "",
            "```json",
            json.dumps(about["settings"], indent=1),
            "```",
            "",
        ]
    )


def _measured(results: Results) -> list[Peer]:
    names = {reading.peer for reading in results.readings}
    return [peer for peer in PEERS if peer.name in names]


def _rows(results: Results) -> Iterable[tuple[str, ...]]:
    summary = Summary(results.readings)
    for peer in _measured(results):
        for m in summary.measurements(peer):
            at = (peer, m.steps, m.concurrency)
            shares = summary.processor_ms(*at)
            spent = " + ".join(f"{kind} {value:g}" for kind, value in shares.items())
            yield (
                *(peer.name, str(m.steps), str(m.concurrency)),
                *(_spread(value) for value in (summary.p50(*at), summary.p95(*at), summary.throughput(*at))),
                f"{sum(shares.values()):.1f} = {spent}",
            )


def _spread(spread: Spread) -> str:
    return f"{spread.median:.1f} [{spread.low:.1f}..{spread.high:.1f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
