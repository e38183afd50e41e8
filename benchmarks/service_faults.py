"""What is done to the service while images stream in."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import psycopg
from service_tools import until

from service_bench import Bench, Part
from service_disk import Disk
from service_spoil import Spoiler

AWAY_SECONDS = (1.0, 6.0)
FULL_SECONDS = (1.0, 4.0)
PAUSE_SECONDS = 2.0
_PATIENCE = 90.0
_NAMES = {"node": "node", "API": "API", "worker": "worker, the parent"}


class Server(Protocol):
    """A PostgreSQL server of the bench's own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def url(self, database: str = "postgres") -> str: ...


class Faults:
    """Each public method is one fault; it returns when what it has broken is mended.

    Args:
        bench: the service.
        disk: of the service.
        server: the database's; None for SQLite.
        chance: decides on times and victims.
        spoiler: damages files.
    """

    def __init__(
        self,
        bench: Bench,
        disk: Disk,
        server: Server | None,
        chance: random.Random,
        spoiler: Spoiler,
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.ended: list[str] = []
        self._bench = bench
        self._disk = disk
        self._server = server
        self._chance = chance
        self._spoiler = spoiler

    def plan(self, kills: int) -> list[Callable[[], None]]:
        """What is done, in an order of chance: so many kills, and the other faults among them."""
        killing = [
            self.kill_node,
            self.kill_judge,
            self.kill_api,
            self.kill_worker,
            self.kill_delivery,
            self.kill_node,
            self.kill_worker_and_children,
            self.kill_judge,
            self.kill_api,
            self.kill_keeper,
        ]
        plan = [killing[number % len(killing)] for number in range(kills)]
        others = [self.fill_disk, self.take_destination_away, self.damage_image, self.damage_spool]
        if self._server is not None:
            others += [self.cut_connections, self.restart_database]
        rounds = max(1, kills // 12)
        plan += others * rounds
        self._chance.shuffle(plan)
        return plan

    def kill_node(self) -> None:
        """SIGKILL to the node."""
        self._kill(_NAMES["node"], self._bench.node)

    def kill_api(self) -> None:
        """SIGKILL to the API."""
        self._kill(_NAMES["API"], self._bench.api)

    def kill_worker(self) -> None:
        """SIGKILL to the parent of the workers; the children must notice."""
        self._kill(_NAMES["worker"], self._bench.worker)

    def kill_worker_and_children(self) -> None:
        """SIGKILL to the parent of the workers and all its children."""
        self._kill("worker and children", self._bench.worker, children=True)

    def kill_judge(self) -> None:
        """SIGKILL to a process that judges."""
        self._kill_child("judge")

    def kill_delivery(self) -> None:
        """SIGKILL to the process that delivers."""
        self._kill_child("delivery")

    def kill_keeper(self) -> None:
        """SIGKILL to the process that keeps house."""
        self._kill_child("keeper")

    def fill_disk(self) -> None:
        """No byte is left on the disk for a while; a part is killed, and must start again."""
        until(self._bench.node.is_up, _PATIENCE, "the node is up")
        self._disk.fill()
        try:
            number = self._spoiler.send_one()
            self._kill_any()
            self._sleep(FULL_SECONDS)
        finally:
            self._disk.free()
        self._spoiler.send_again(number)
        self.others["disk filled"] += 1

    def take_destination_away(self) -> None:
        """SIGKILL to the destination, and nobody there for a while."""
        self._bench.destination.kill()
        self._sleep(AWAY_SECONDS)
        self._bench.destination.start()
        until(self._bench.destination.is_up, _PATIENCE, "the destination is up")
        self.others["destination killed, and started again"] += 1

    def damage_image(self) -> None:
        """One byte of a stored image is changed before it is judged: the workers are killed."""
        worker = self._bench.worker
        self.kills["worker and children"] += worker.kill(children=True)
        try:
            self._spoiler.damage_waiting()
        finally:
            worker.start()
        until(worker.is_up, _PATIENCE, "the worker is up")
        self.others["stored image damaged"] += 1

    def damage_spool(self) -> None:
        """A file in the spool is damaged, and another removed, while the objects arrive."""
        self._spoiler.damage_arriving()
        self.others["arriving image damaged"] += 1
        self._spoiler.remove_arriving()
        self.others["arriving image removed"] += 1

    def cut_connections(self) -> None:
        """PostgreSQL ends every connection."""
        assert self._server is not None
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            cut = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).rowcount
        self.others["database connections cut"] += cut

    def restart_database(self) -> None:
        """The database server is stopped at once, and is away for a while; so is a part."""
        assert self._server is not None
        self._server.stop()
        name, part = self._chance.choice(list(self._bench.parts.items()))
        self.kills[_NAMES[name]] += part.kill()
        self._sleep(AWAY_SECONDS)
        self._server.start()
        part.start()
        self.others["database stopped, and started again"] += 1

    def note_ends(self) -> None:
        """Write down which parts have ended without having been killed, and start them again."""
        for name, part in self._bench.parts.items():
            if part.ended_by_itself:
                self.ended.append(name)
                part.start()

    def _kill_any(self) -> None:
        name, part = self._chance.choice(list(self._bench.parts.items()))
        self._kill(_NAMES[name], part)

    def _kill(self, name: str, part: Part, *, children: bool = False) -> None:
        time.sleep(self._chance.uniform(0, 0.5))
        self.kills[name] += part.kill(children=children)
        time.sleep(self._chance.uniform(0, PAUSE_SECONDS))
        part.start()
        if self._chance.random() < 0.75:  # else the next fault may meet it half started
            until(part.is_up, _PATIENCE, f"{name} is up")

    def _kill_child(self, role: str) -> None:
        time.sleep(self._chance.uniform(0, 0.5))
        self._bench.worker.kill_child(role)
        self.kills[role] += 1

    def _sleep(self, bounds: tuple[float, float]) -> None:
        time.sleep(self._chance.uniform(*bounds))
