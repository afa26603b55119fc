"""The faults: each is one coroutine that strikes the rig and returns when its cause is gone."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import asyncpg
import psutil

from tests.faults.proxy import COMMIT, Moment, Trap
from tests.faults.rig import Rig
from tests.faults.timeline import Blow

#: A trap nobody steps into within this time is replaced by a plain blow; the short form has less of it.
TRAP_SECONDS = 16.0
QUICK_TRAP_SECONDS = 8.0
#: A loop of the relay takes few turns, and none while one of the servers is away.
TURN_SECONDS = 48.0
QUICK_TURN_SECONDS = 24.0
END_OF_MAIL = b"\r\n.\r\n"
CALL = b"POST /"
TRIGGER = b"/executions HTTP/1.1"
#: What only this loop of the relay sends, between starting or deciding something and the commit: a parameter with its
#: length, because the text of a statement is sent but once for each connection.
TURNS = {
    "schedule": b"\x00\x00\x00\x0abackfilled",
    "event": b"\x00\x00\x00\x07started",
    "deadline": b"\x00\x00\x00\x07expired",
}


class Blows:
    """What can be done to a rig. `quick` shortens stalls and outages for the short form."""

    def __init__(self, rig: Rig, *, quick: bool) -> None:
        self.rig = rig
        self.quick = quick
        self._chance = rig.chance
        self._timeline = rig.timeline
        self._ways = self._kinds()
        for ways in self._ways.values():
            self._chance.shuffle(ways)

    def next(self, kind: str) -> Callable[[], Awaitable[Blow]]:
        """The ways of a kind take turns."""
        ways = self._ways[kind]
        ways.append(ways.pop(0))
        return ways[-1]

    def _kinds(self) -> dict[str, list[Callable[[], Awaitable[Blow]]]]:
        """By kind, the ways in which it comes."""
        return {
            "worker kill": [
                self.worker_kill,
                self.before_effect,
                self.after_effect,
                self.after_commit("worker"),
            ],
            "api kill": [self.api_kill, self.after_commit("api")],
            "relay kill": [
                self.relay_kill,
                self.after_commit("relay"),
                *(self.amid_turn(what, needle) for what, needle in TURNS.items()),
            ],
            "temporal kill": [self.temporal_kill],
            "postgres crash": [self.postgres_immediate, self.postmaster_kill, self.backend_kill],
            "terminate storm": [self.terminate_storm],
            "freeze": [self.freeze("worker"), self.freeze("postgres"), self.freeze("temporal")],
            "network": [
                *(
                    self.stall("postgres"),
                    self.stall("temporal"),
                    self.reset("postgres"),
                    self.reset("temporal"),
                ),
                *(self.lost_commit("api"), self.lost_commit("worker"), self.lost_commit("relay")),
                *(self.lost_answer("partner", CALL), self.lost_answer("mail", END_OF_MAIL)),
                *(self.lost_answer("api", TRIGGER), self.lost_answer("temporal", b"")),
                *(self.cut("postgres"), self.cut("temporal"), self.cut("partner"), self.cut("api")),
                *(self.half_close("postgres"), self.half_close("temporal")),
                *(self.slow("postgres"), self.slow("temporal"), self.drip("postgres"), self.stall("partner")),
            ],
        }

    # Processes of the product

    async def worker_kill(self) -> Blow:
        return await self._kill("worker kill", self._chance.choice(self.rig.playing("worker")))

    async def api_kill(self) -> Blow:
        return await self._kill("api kill", self.rig.playing("api")[0])

    async def relay_kill(self) -> Blow:
        return await self._kill("relay kill", self.rig.playing("relay")[0])

    async def _kill(self, kind: str, name: str) -> Blow:
        """Mostly of a process that serves, sometimes of one that is still starting."""
        while True:
            await self.rig.until_alive(name)
            if self._chance.random() < 0.75:
                await self.rig.until_serving(name, 20.0)
            if self.rig.kill(name):  # others strike too, and may have been quicker
                return self._cleared(self._timeline.strike(kind, f"kill -9 {name}"))
            await asyncio.sleep(0.05)

    async def before_effect(self) -> Blow:
        return await self._failpoint("before effect", "worker", "partner", CALL, Moment.REQUEST)

    async def after_effect(self) -> Blow:
        link, needle = self._chance.choice([("partner", CALL), ("mail", END_OF_MAIL)])
        return await self._failpoint(f"after effect ({link})", "worker", link, needle, Moment.ANSWER)

    def after_commit(self, role: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            return await self._failpoint("after commit", role, "postgres", COMMIT, Moment.ANSWER)

        return strike

    def amid_turn(self, what: str, needle: bytes) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            """The loop has written down what it did, and has not committed it."""
            where = f"amid turn ({what})"
            seconds = QUICK_TURN_SECONDS if self.quick else TURN_SECONDS
            return await self._failpoint(where, "relay", "postgres", needle, Moment.ANSWER, seconds)

        return strike

    async def _failpoint(
        self, where: str, role: str, link: str, needle: bytes, moment: Moment, seconds: float | None = None
    ) -> Blow:
        """kill -9 of the very process whose request is at the proxy now; the failpoint needs no help of the product."""
        found: list[Blow] = []

        def kill(port: int) -> None:
            name = self.rig.caller(port)
            if name is None:
                return
            if self.rig.kill(name):
                blow = self._timeline.strike(f"{role} kill", f"kill -9 {name} {where}")
                blow.failpoint = where.partition(" (")[0]
                found.append(blow)

        trap = Trap(needle, moment, whose=self._plays(role), then=kill)
        if await self._sprung(link, trap, seconds) and found:
            return self._cleared(found[0])
        return await self._kill(f"{role} kill", self._chance.choice(self.rig.playing(role)))

    # Servers

    async def temporal_kill(self) -> Blow:
        return await self._outage("temporal kill", "temporal", signal.SIGKILL, 3.0 if self.quick else 10.0)

    async def postgres_immediate(self) -> Blow:
        """What `pg_ctl stop -m immediate` sends."""
        return await self._outage("postgres crash", "postgres", signal.SIGQUIT, 1.0 if self.quick else 5.0)

    async def postmaster_kill(self) -> Blow:
        return await self._outage("postgres crash", "postgres", signal.SIGKILL, 1.0 if self.quick else 5.0)

    async def _outage(self, kind: str, name: str, number: int, longest: float) -> Blow:
        watched = self.rig.stack.supervisor.watched[name]
        while watched.status != "running" or not self.rig.alive(name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        lost, seconds = self.rig.pid(name), self._chance.uniform(0, longest)
        watched.part.wait = seconds
        blow = self._timeline.strike(
            kind, f"{signal.Signals(number).name} to {name}, again after {seconds:.1f} s"
        )
        self.rig.signal(name, number)
        await self.rig.back(name, lost)
        return self._cleared(blow)

    async def backend_kill(self) -> Blow:
        """kill -9 of one backend: the postmaster ends all others and recovers."""
        while True:
            backends = []
            for process in self.rig.stack.postgres.processes():
                with suppress(psutil.Error):
                    if "perdure_app" in " ".join(process.cmdline()):
                        backends.append(process)
            with suppress(psutil.Error, IndexError):  # there was none, or it has just gone by itself
                self._chance.choice(backends).kill()
                return self._cleared(self._timeline.strike("postgres crash", "kill -9 of one backend"))
            await asyncio.sleep(0.1)

    async def terminate_storm(self) -> Blow:
        """Every connection of the product is terminated, again and again for two seconds."""
        blow = self._timeline.strike("terminate storm", "pg_terminate_backend for 2 s")
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            admin = await asyncpg.connect(self.rig.stack.admin_url, timeout=5)
            try:
                for _ in range(20):
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perdure_app'"
                    )
                    await asyncio.sleep(0.1)
            finally:
                await admin.close()
        return self._cleared(blow)

    def freeze(self, who: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            seconds = self._chance.uniform(1, 2) if self.quick else self._chance.uniform(5, 10)
            if who == "postgres":
                processes = self.rig.stack.postgres.processes()
            else:
                name = self._chance.choice(self.rig.playing(who)) if who == "worker" else who
                await self.rig.until_alive(name)
                processes = [psutil.Process(self.rig.pid(name))]
            blow = self._timeline.strike("freeze", f"SIGSTOP of {who} for {seconds:.1f} s")
            for process in processes:
                with suppress(psutil.Error):
                    process.suspend()
            try:
                await asyncio.sleep(seconds)
            finally:
                for process in processes:
                    with suppress(psutil.Error):
                        process.resume()
            return self._cleared(blow)

        return strike

    # Links

    def stall(self, link: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            seconds = self._chance.uniform(0.5, 2) if self.quick else self._chance.uniform(2, 12)
            blow = self._timeline.strike("network", f"stall of {link} for {seconds:.1f} s")
            async with self.rig.proxies[link].stalled():
                await asyncio.sleep(seconds)
            return self._cleared(blow)

        return strike

    def reset(self, link: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            share = self._chance.choice([0.5, 1.0])
            blow = self._timeline.strike("network", f"reset of {link}")
            self.rig.proxies[link].reset(share)
            return self._cleared(blow)

        return strike

    def half_close(self, link: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            blow = self._timeline.strike("network", f"half-close of {link}")
            self.rig.proxies[link].half_close()
            return self._cleared(blow)

        return strike

    def slow(self, link: str) -> Callable[[], Awaitable[Blow]]:
        return self._weather(link, delay=0.05, piece=None)

    def drip(self, link: str) -> Callable[[], Awaitable[Blow]]:
        return self._weather(link, delay=0.001, piece=64)

    def _weather(self, link: str, *, delay: float, piece: int | None) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            seconds = self._chance.uniform(0.5, 2) if self.quick else self._chance.uniform(2, 6)
            how = "drip" if piece else "delay"
            blow = self._timeline.strike("network", f"{how} on {link} for {seconds:.1f} s")
            async with self.rig.proxies[link].slow(delay, piece):
                await asyncio.sleep(seconds)
            return self._cleared(blow)

        return strike

    def lost_commit(self, role: str) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            trap = Trap(COMMIT, whose=self._plays(role))
            return await self._trapped(f"lost COMMIT acknowledgement of {role}", "postgres", trap)

        return strike

    def lost_answer(self, link: str, needle: bytes) -> Callable[[], Awaitable[Blow]]:
        async def strike() -> Blow:
            return await self._trapped(f"lost answer of {link}", link, Trap(needle))

        return strike

    def cut(self, link: str) -> Callable[[], Awaitable[Blow]]:
        """The answer breaks off after some bytes, with RST or as if it were complete."""

        async def strike() -> Blow:
            passes, reset = self._chance.randint(1, 300), self._chance.random() < 0.5
            how = "reset" if reset else "truncated"
            trap = Trap(b"", passes=passes, reset=reset)
            return await self._trapped(f"{link} {how} after {passes} bytes of an answer", link, trap)

        return strike

    async def _trapped(self, what: str, link: str, trap: Trap) -> Blow:
        found: list[Blow] = []
        trap.then = lambda _: found.append(self._timeline.strike("network", what))
        if await self._sprung(link, trap) and found:
            return self._cleared(found[0])
        return await self.reset(self._chance.choice(["postgres", "temporal"]))()

    async def _sprung(self, link: str, trap: Trap, seconds: float | None = None) -> bool:
        usual = QUICK_TRAP_SECONDS if self.quick else TRAP_SECONDS
        async with AsyncExitStack() as armed:
            armed.callback(self.rig.proxies[link].disarm, trap)
            self.rig.proxies[link].arm(trap)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds or usual):
                    await trap.sprung.wait()
        return trap.sprung.is_set()

    def _plays(self, role: str) -> Callable[[int], bool]:
        def plays(port: int) -> bool:
            return self.rig.caller(port) in self.rig.playing(role)

        return plays

    def _cleared(self, blow: Blow) -> Blow:
        blow.cleared = self._timeline.now()
        return blow
