"""The statistics API: questions in the shape of Plausible's Stats API v2, answered from released figures only."""

from consent_app.dashboard.stats_api.pages import blueprint

__all__ = ["blueprint"]
