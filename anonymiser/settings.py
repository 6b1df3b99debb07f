"""The values the batch runs under, passed in by whoever calls it; the batch itself reads no environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

Policy = Literal["dp", "threshold"]
Grain = Literal["day", "week", "month"]
Source = Literal["beacons", "logs"]


@dataclass(frozen=True, slots=True)
class Protection:
    """How a release is protected: `epsilon` and `delta` per browser-day and site (`dp`), or minimum `k` (`threshold`).

    Raises ValueError naming the setting and its allowed range.
    """

    policy: Policy = "dp"
    epsilon: float = 2.0
    delta: float = 1e-6
    k: int = 10

    def __post_init__(self) -> None:
        if self.policy not in ("dp", "threshold"):
            raise ValueError(f"policy is {self.policy!r}; it must be 'dp' or 'threshold'")
        if not 0 < self.epsilon <= 20:
            raise ValueError(f"epsilon is {self.epsilon}; it must be above 0 and at most 20")
        if not 0 < self.delta <= 1e-3:
            raise ValueError(f"delta is {self.delta}; it must be above 0 and at most 0.001")
        if not 2 <= self.k <= 10_000:
            raise ValueError(f"k is {self.k}; it must be from 2 to 10000")


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What the batch must know of one site. `catalogue` maps a statistic's catalogue name to its declared keys.

    `crossed` asks for the two-dimensional statistics, whatever the number of visitors. Figures are let go of
    `retention_months` after their period; None keeps them. Facts wait for the batch for `retention_hours` at most.
    """

    key: str
    timezone: str = "Europe/London"
    own_hosts: frozenset[str] = frozenset()
    excluded_networks: tuple[str, ...] = ()
    grain: Grain | None = None
    crossed: bool = False
    retention_months: int | None = None
    retention_hours: int = 24
    catalogue: dict[str, tuple[str, ...]] = field(default_factory=dict)
    protection: Protection = Protection()

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone; a day begins and ends at its midnight."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one installation (or one stand-alone output file) keeps its batch state; nothing else is written."""

    stats: Path
    private: Path

    @classmethod
    def beside(cls, out: Path) -> Workspace:
        """The workspace of a stand-alone run: `stats.duckdb` and, beside it, `stats.duckdb.private/` (0700)."""
        return cls(out, out.with_name(out.name + ".private"))
