"""The questions that are asked of the published file: one statement each, over its catalogue `stats`."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from anonymiser.answers import Cell, Release

_TEXTS: Final = ("bounds", "weights")
_PLAIN: Final = ", ".join(f"{field.name} := {field.name}" for field in fields(Release) if field.name not in _TEXTS)
# Thousands of releases share the few long texts of a site's settings: fetched and read once each.
RELEASES: Final = (
    f"SELECT bounds, weights, list(struct_pack({_PLAIN})) FROM stats.release WHERE site = ? "  # noqa: S608 - our names
    "GROUP BY bounds, weights"
)
NEWEST: Final = (
    f"SELECT bounds, weights, [struct_pack({_PLAIN})] FROM stats.release WHERE site = ? "  # noqa: S608 - our names
    "ORDER BY period_end DESC, period_start DESC, released_at DESC LIMIT 1"
)
SPAN: Final = "SELECT min(period_start), max(period_end) FROM stats.release WHERE site = ?"
# Releases whose limits are alike are one kind; daily ones have no keys to hide.
KINDS: Final = (
    f"SELECT bounds, weights, any_value(struct_pack({_PLAIN})), list(release_id) "  # noqa: S608 - our names
    "FROM stats.release WHERE site = ? AND period_start >= ? AND period_end <= ? "
    "GROUP BY bounds, weights, policy, delta, k"
)
TOTALS: Final = (
    "SELECT period_start, list(metric), list(value), list(sigma) FROM "
    "(SELECT * FROM stats.cell WHERE site = ? AND statistic = 'totals' ORDER BY period_start, metric) "
    "GROUP BY period_start ORDER BY period_start"
)
DAILY_OF_ALL: Final = (
    "SELECT site, period_start, metric, value, sigma FROM stats.cell "
    "WHERE statistic = 'totals' AND period_start BETWEEN ? AND ? ORDER BY site, period_start, metric"
)
USUAL: Final = (
    "SELECT avg(value) FROM (SELECT value FROM stats.cell WHERE site = ? AND statistic = 'totals' "
    "AND metric = 'visitors' ORDER BY period_start DESC LIMIT ?)"
)
CELLS: Final = (
    f"SELECT {', '.join(field.name for field in fields(Cell))} FROM stats.cell "  # noqa: S608 - our names
    "WHERE site = ? AND statistic = ? AND key1 = ? ORDER BY release_id, key2"
)
RELEASED: Final = (
    f"SELECT {', '.join(field.name for field in fields(Cell))} FROM stats.cell "  # noqa: S608 - our names
    "WHERE site = ? AND list_contains(?, statistic) AND period_start >= ? AND period_start + period_days - 1 <= ? "
    "ORDER BY statistic, period_start, period_days, key1, key2, metric"
)
# Of thousands of days one string of names and, mostly, one sigma each: what is fetched is what takes the time.
GAPS: Final = (
    "SELECT period_start, string_agg(key1, ' '), list(value), "
    "CASE WHEN min(sigma) = max(sigma) THEN [min(sigma)] ELSE list(sigma) END FROM stats.cell "
    "WHERE site = ? AND statistic = 'returning' AND period_start BETWEEN ? AND ? AND list_contains(?, key1) "
    "GROUP BY period_start"
)
_WITHIN: Final = (
    "FROM stats.cell WHERE site = ? AND statistic IN ({names}) AND period_start >= ? "
    "AND period_start + period_days - 1 <= ? "
)
_ENDS: Final = "SELECT statistic, min(period_start), max(period_start + period_days - 1), "
ANSWERED: Final = f"{_ENDS}count(DISTINCT period_start) {_WITHIN}GROUP BY statistic"
ANSWERED_BY: Final = ANSWERED.replace("count(DISTINCT period_start)", "list(DISTINCT release_id)")
BREAKDOWN: Final = (
    f"SELECT statistic, key1, key2, sum(value), sqrt(sum(sigma * sigma)), count(*) {_WITHIN}{{where}}"
    "GROUP BY statistic, key1, key2 ORDER BY sum(value) DESC, key1, key2"
)
BREAKDOWN_BY: Final = BREAKDOWN.replace("count(*)", "list(DISTINCT release_id)")
PERIODS: Final = (
    "SELECT period_start, period_start + period_days - 1, sum(value) FILTER ({where}), "
    "coalesce(sqrt(sum(sigma * sigma) FILTER ({where})), 0) FROM stats.cell "
    "WHERE site = ? AND statistic = ? AND period_start >= ? AND period_start + period_days - 1 <= ? "
    "GROUP BY period_start, period_days ORDER BY period_start"
)
LAST: Final = (
    "SELECT statistic, max(period_start), max(period_start + period_days - 1) FROM stats.cell "
    "WHERE site = ? AND list_contains(?, statistic) GROUP BY statistic"
)
