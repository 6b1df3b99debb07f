"""Differential privacy: discrete Gaussian noise (OpenDP), zCDP composition, keys by declaration or by threshold.

One statistic has up to three kinds of cells. With sigma the noise of a plain cell (and `fold` times as much where many
texts may meet in one cell, see `bounds.Statistic`):

* declared keys: sigma, published always, zeros too;
* undeclared keys: sqrt(2) sigma, published when the count passes a cut and the noisy value a threshold;
* "(other)", the sum of what was not published: sqrt(2) fold sigma, published always.

What a browser-day adds to undeclared keys is looked at twice, once for the threshold and once in "(other)"; at
sqrt(2) times the noise each, both together cost what one look at sigma would (docs/privacy.md, statement 3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import log, sqrt
from typing import Any, Final, NamedTuple

from anonymiser import scrub
from anonymiser.bounds import CUT, OTHER, Statistic
from anonymiser.catalogue import Key
from anonymiser.zcdp import largest_rho

TWICE: Final = sqrt(2)
A_LITTLE_WIDER: Final = 1 + 1e-12
REST: Final[Key] = (OTHER, "")
Noisy = tuple[Key, int, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one statistic is released: `sigma` of a plain cell, `key_delta` for each undeclared key of a browser-day."""

    statistic: Statistic
    sigma: float
    key_delta: float
    open_ended: bool

    def width(self, key: Key) -> float:
        """The noise of a declared cell."""
        return self.terms(folded=is_folded(key)).width

    def threshold(self, key: Key) -> float:
        """What an undeclared key's noisy value must exceed."""
        return self.terms(folded=is_folded(key)).threshold

    def terms(self, *, folded: bool) -> Terms:
        """What holds for keys into which texts of one browser may have been folded, and for all others.

        What is above the cut of a key that one browser-day brought there is at most `most`; discrete Gaussian noise
        exceeds t with a probability of at most exp(-t^2 / 2 sigma^2) (Canonne, Kamath and Steinke 2020).
        """
        width = self.sigma * (self.statistic.fold if folded else 1)
        most = self.statistic.keys_touched if folded and self.statistic.fold > 1 else self.statistic.linf
        above = most + TWICE * width * sqrt(2 * log(1 / self.key_delta))
        cut = int(above * CUT)
        return Terms(width, cut, cut + above)


class Terms(NamedTuple):
    """`width` is the noise of a declared cell; an undeclared key is shown above `threshold`, and looked at above `cut`.

    The mechanism sees max(count - cut, 0) instead of the count. One browser-day moves that by no more than it moves the
    count, so nothing of the proof changes (docs/privacy.md, statement 5); most keys need no noise then.
    """

    width: float
    cut: int
    threshold: float


@lru_cache(maxsize=65_536)
def is_folded(key: Key) -> bool:
    """Whether several texts of a browser may have become this key, by either half."""
    return any(map(scrub.is_folded, key))


@lru_cache(maxsize=64)
def rho(epsilon: float, delta: float) -> float:
    """The largest zCDP budget that OpenDP's own conversion turns into at most (epsilon, delta).

    What the papers' formula gives is asked about, a trillionth of noise wider; if OpenDP says no to that, it searches
    itself. A question takes it five thousandths of a second, and a search is sixty questions.
    """
    scale = A_LITTLE_WIDER / sqrt(2 * largest_rho(epsilon, delta))
    if not _converted(scale, delta).check(1.0, (epsilon, delta)):
        asked = (1.0, (epsilon, delta))
        scale = _opendp().mod.binary_search_param(lambda scale: _converted(scale, delta), *asked, T=float)
    return float(1 / (2 * scale**2))


def _converted(scale: float, delta: float) -> Any:
    """Noise of this scale, with the zCDP that it has converted to an epsilon for this delta."""
    opendp = _opendp()
    return opendp.combinators.make_fix_delta(opendp.combinators.make_zCDP_to_approxDP(_gaussian(opendp, scale)), delta)


def release(plan: Plan, tables: Sequence[Mapping[Key, int]], declared: Sequence[Key]) -> Iterator[list[Noisy]]:
    """The noisy cells of each table (one for each period). Noise for all periods is drawn together: it is faster."""
    named = [(key, plan.width(key)) for key in declared if key != REST]
    known = _noised([(table.get(key, 0), width) for table in tables for key, width in named])
    shown = [[(key, next(known), width) for key, width in named] for _ in tables]
    if plan.open_ended:
        for cells, found in zip(shown, _undeclared(plan, tables, {key for key, _ in named}), strict=True):
            cells += found
    yield from shown


def _undeclared(plan: Plan, tables: Sequence[Mapping[Key, int]], named: Collection[Key]) -> Iterator[list[Noisy]]:
    plain, folded = plan.terms(folded=False), plan.terms(folded=True)
    strange = [
        [(key, folded if is_folded(key) else plain) for key in _looked_at(table, named, plain.cut)] for table in tables
    ]
    strange = [
        [(key, of) for key, of in keys if table[key] > of.cut] for table, keys in zip(tables, strange, strict=True)
    ]
    drawn = _noised(
        [(table[key], TWICE * of.width) for table, keys in zip(tables, strange, strict=True) for key, of in keys]
    )
    common = [
        [
            (key, value, TWICE * of.width)
            for (key, of), value in zip(keys, list(islice(drawn, len(keys))), strict=True)
            if value > of.threshold
        ]
        for keys in strange
    ]
    width = TWICE * plan.statistic.fold * plan.sigma
    rests = [_rest(table, named, {key for key, _, _ in found}) for table, found in zip(tables, common, strict=True)]
    others = _noised([(rest, width) for rest in rests])
    for found in common:
        yield [*found, (REST, next(others), width)]


def _looked_at(table: Mapping[Key, int], named: Collection[Key], least: int) -> list[Key]:
    """The undeclared keys above the lowest cut there is, by name: most keys need no closer look."""
    return sorted(key for key, count in table.items() if count > least and key not in named and key != REST)


def _rest(table: Mapping[Key, int], named: Collection[Key], shown: set[Key]) -> int:
    return sum(count for key, count in table.items() if key not in named and key not in shown)


def _noised(cells: Sequence[tuple[int, float]]) -> Iterator[int]:
    """Each value with noise of its own width, in order; OpenDP takes all cells of one width as a vector."""
    noisy = [0] * len(cells)
    for scale in {width for _, width in cells}:
        places = [place for place, (_, width) in enumerate(cells) if width == scale]
        drawn = _gaussian(_opendp(), scale)([cells[place][0] for place in places])
        for place, value in zip(places, drawn, strict=True):
            noisy[place] = int(value)
    return iter(noisy)


def _gaussian(opendp: Any, scale: float) -> Any:
    domain = opendp.domains.vector_domain(opendp.domains.atom_domain(T="i64"))
    return opendp.measurements.make_gaussian(domain, opendp.metrics.l2_distance(T=float), scale)


def _opendp() -> Any:
    """What is needed of OpenDP, loaded when noise is; its `prelude` would load its bridges to other libraries too."""
    import opendp
    import opendp.combinators
    import opendp.measurements
    import opendp.mod

    opendp.mod.enable_features("contrib")
    return opendp
