"""What is measured, how often and how long; three sizes of the same run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """Who takes part; `title` says in the report what it is."""

    name: str
    module: str
    title: str


PERDURE = Peer("perdure", "benchmarks.peers.perdure", "Perdure, stored definition over HTTP, as shipped")
DBOS = Peer("dbos", "benchmarks.peers.dbos_steps", "DBOS 3.4, called in its own process")
DBOS_HTTP = Peer("dbos over http", "benchmarks.peers.dbos_http", "DBOS 3.4 behind FastAPI, no authentication")
HANDWRITTEN = Peer("temporalio", "benchmarks.peers.handwritten", "temporalio by hand, one activity per step")
FLOOR = Peer("floor", "benchmarks.peers.floor", "temporalio, eager empty workflow: the floor")
WITHOUT_MIRROR = Peer("mirror off", "benchmarks.peers.without_mirror", "Perdure with the mirror patched away")

PEERS = (PERDURE, DBOS, DBOS_HTTP, HANDWRITTEN, FLOOR, WITHOUT_MIRROR)


@dataclass(frozen=True, slots=True)
class Measurement:
    """`count` executions of `steps` steps by `concurrency` users."""

    steps: int
    concurrency: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.steps} steps, {self.concurrency} at once"


@dataclass(frozen=True, slots=True)
class Size:
    """How long a run is. A round measures every peer once; counts follow each peer's speed."""

    name: str
    rounds: int
    alone: int
    crowd: int
    long: int
    flood: int
    fair: int
    histories: int
    warm: int = 15
    peers: tuple[Peer, ...] = PEERS

    def measurements(self, peer: Peer) -> tuple[Measurement, ...]:
        slow = peer is HANDWRITTEN
        if peer is WITHOUT_MIRROR:
            return (Measurement(5, 25, self.crowd),)
        crowd = max(25, self.crowd // 4) if slow else self.crowd
        return (
            Measurement(5, 1, self.alone // 3 if slow else self.alone),
            Measurement(5, 10, crowd),
            Measurement(5, 25, crowd),
            *(() if peer is FLOOR else (Measurement(40, 1, max(2, self.long // 6) if slow else self.long),)),
        )


FULL = Size("full", rounds=7, alone=60, crowd=200, long=24, flood=1000, fair=60, histories=400)
QUICK = Size("quick", rounds=3, alone=30, crowd=75, long=8, flood=300, fair=30, histories=100)
SMOKE = Size("smoke", rounds=1, alone=3, crowd=25, long=2, flood=20, fair=4, histories=10, warm=1)
SIZES = {size.name: size for size in (FULL, QUICK, SMOKE)}
