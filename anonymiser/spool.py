"""Door in: facts wait in memory until they are mixed, then on disk until the next batch.

The facts of many beacons of one site and local day are shuffled and written together as one frame, so that no stored
row leads to another of its beacon. (Of two days in a frame, one might have a single beacon there: just after midnight,
or from a browser whose clock is wrong.) A killed process loses what was still waiting (fewer than `mix_beacons` beacons
of each site and day, none older than `mix_seconds`), never what was written; an orderly stop loses nothing.

At a site with fewer visitors than one in five minutes a frame may hold a single beacon; a longer `mix_seconds` is the
remedy, at the price of losing more in a kill.

What is written is sealed to the public key of the hour, which the batch makes ahead: whoever takes over a web server
finds what waits in memory and the key of the segment that is being written, and nothing of the hours before. Without a
key of the hour nothing is taken (`NoHourKey`), and nothing is ever written in clear.
"""

from __future__ import annotations

import atexit
import errno
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from anonymiser.errors import NoHourKey, SegmentError
from anonymiser.facts import Fact
from anonymiser.segments import Segment, Writer, destroy, hour_of, public_key, seal_abandoned, segments

__all__ = ["Segment", "Spool", "destroy", "seal_abandoned", "segments"]

MAX_WAITING: Final = 65_536
RETRY: Final = timedelta(seconds=5)
LONGEST_NAP: Final = 30.0

_Queue = tuple[str, str]
"""(site, local day): what may be mixed."""


@dataclass(slots=True)
class _Waiting:
    """The facts of one site and day that wait to be mixed; `since` is when its oldest beacon came."""

    since: datetime
    facts: list[Fact] = field(default_factory=list)
    beacons: int = 0


class Spool:
    """Takes beacons' facts and writes them mixed. Thread-safe; after a fork the child begins a segment of its own.

    `clock` gives UTC. A background thread writes what is due while no beacon comes and closes the segment when its
    hour ends. Raises SegmentError when the directory cannot be used.
    """

    _retry_at: datetime | None
    _thread: threading.Thread | None
    _writer: Writer | None
    _waiting: dict[_Queue, _Waiting]
    _hour: datetime | None

    def __init__(
        self, directory: Path, *, clock: Callable[[], datetime], mix_beacons: int = 64, mix_seconds: float = 300
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._mix_beacons = mix_beacons
        self._mix_time = timedelta(seconds=mix_seconds)
        self._usable()
        self._reset()
        _forget_in_children(self)

    def add(self, facts: Sequence[Fact]) -> None:
        """Take the facts of one beacon, all of one site and day.

        Raises SegmentError when the disk has been refusing them for too long, NoHourKey when they could not be sealed.
        """
        if not facts:
            return
        now = self._clock()
        if not self.has_key(now):
            raise NoHourKey(self._directory, hour_of(now))
        with self._lock:
            self._refuse()
            waiting = self._waiting.setdefault((facts[0].site, facts[0].day), _Waiting(now))
            waiting.facts += facts
            waiting.beacons += 1
            self._count += len(facts)
            self._start()
        self.tick(now)

    def has_key(self, now: datetime | None = None) -> bool:
        """Whether there is a key to seal this hour's facts to; a key that was found holds for its hour."""
        hour = hour_of(now or self._clock())
        if self._hour != hour and public_key(self._directory, hour):
            self._hour = hour
        return self._hour == hour

    @property
    def waiting(self) -> int:
        """How many facts wait in memory to be mixed or written."""
        return self._count

    def tick(self, now: datetime | None = None) -> None:
        """Write what is due and close the segment of an ended hour; called by `add` and by the background thread."""
        now = now or self._clock()
        with self._lock:
            due = [queue for queue, waiting in self._waiting.items() if self._due(waiting, now)]
            if not due and (self._writer is None or self._writer.hour == hour_of(now)):
                return
        with self._disk:
            self._end_hour(now)
            self._write(due, now)

    def flush(self) -> None:
        """Write everything that waits, mixed as far as it goes. Raises SegmentError when the disk refuses it."""
        with self._disk:
            with self._lock:
                queues = list(self._waiting)
            self._end_hour(self._clock())
            self._write(queues, self._clock())
        if self._failure:
            raise SegmentError(self._failure)

    def close(self) -> None:
        """The orderly stop: everything on disk, the segment whole and closed. Closing twice is no error."""
        with self._lock:
            self._closed = True
        self._stop.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()
        atexit.unregister(self.close)
        try:
            self.flush()
        finally:
            with self._disk:
                self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _usable(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise SegmentError(
                f"spool directory {self._directory} cannot be used ({error.strerror}); make it or give rights to it"
            ) from error

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._disk = threading.RLock()
        self._stop = threading.Event()
        self._thread = None
        self._waiting = {}
        self._count = 0
        self._writer = None
        self._hour = None
        self._failure = ""
        self._retry_at = None
        self._closed = False

    def _leave_to_parent(self) -> None:
        """After a fork: also new locks, as a thread that does not exist here may hold the old ones."""
        inherited = self._writer
        self._reset()
        if inherited:
            inherited.disown()

    def _refuse(self) -> None:
        if self._closed:
            raise SegmentError(f"spool {self._directory} is closed; the server is stopping")
        if self._count >= MAX_WAITING:
            raise SegmentError(self._failure or f"spool {self._directory} is behind; the disk is too slow")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _run(self) -> None:
        nap = min(LONGEST_NAP, max(0.05, self._mix_time.total_seconds() / 10))
        while not self._stop.wait(nap):
            self.tick()

    def _due(self, waiting: _Waiting, now: datetime) -> bool:
        if self._retry_at and now < self._retry_at:
            return False
        return waiting.beacons >= self._mix_beacons or now - waiting.since >= self._mix_time

    def _write(self, queues: list[_Queue], now: datetime) -> None:
        for queue in queues:
            with self._lock:
                waiting = self._waiting.pop(queue, None)
            if waiting is None:
                continue
            try:
                self._segment(now).write(_shuffled(waiting.facts))
            except (OSError, NoHourKey) as error:
                self._keep(queue, waiting, error, now)
            else:
                self._written(len(waiting.facts))

    def _segment(self, now: datetime) -> Writer:
        if self._writer is None:
            self._writer = Writer(self._directory, hour_of(now))
        return self._writer

    def _written(self, facts: int) -> None:
        with self._lock:
            self._count -= facts
            self._failure, self._retry_at = "", None

    def _keep(self, queue: _Queue, waiting: _Waiting, error: OSError | NoHourKey, now: datetime) -> None:
        """What cannot be written waits on, before what came meanwhile; `add` refuses when that becomes too much."""
        with self._lock:
            newer = self._waiting.get(queue)
            if newer:
                waiting.facts += newer.facts
                waiting.beacons += newer.beacons
            self._waiting[queue] = waiting
            self._failure = self._reason(error)
            self._retry_at = now + RETRY

    def _reason(self, error: OSError | NoHourKey) -> str:
        if isinstance(error, NoHourKey):
            self._hour = None
            return str(error)
        return f"facts could not be written to {self._directory} ({error.strerror}); make room or give rights to it"

    def _end_hour(self, now: datetime) -> None:
        """What waits is carried into the new hour's segment: writing it early would mix it with too few."""
        if self._writer and self._writer.hour != hour_of(now):
            self._end()

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        # A segment whose end could not be written is sealed by the next batch; all its facts are on disk.
        with suppress(OSError):
            if writer:
                writer.end()


def _shuffled(facts: list[Fact]) -> list[Fact]:
    """In an order drawn from the system's secure randomness: one draw for all, eight times as fast as one for each."""
    keys = secrets.token_bytes(16 * len(facts))
    order = sorted(range(len(facts)), key=lambda place: keys[16 * place : 16 * place + 16])
    return [facts[place] for place in order]


def _forget_in_children(spool: Spool) -> None:
    """What waits and the open segment are the parent's; the child starts empty, before any of its threads runs."""
    reference = weakref.ref(spool)

    def forget() -> None:
        inherited = reference()
        if inherited is not None:
            inherited._leave_to_parent()  # noqa: SLF001

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)
