"""Exports: released figures as CSV, Parquet or JSON, each time with the description that makes them a data package."""

from consent_app.dashboard.exports.pages import blueprint

__all__ = ["blueprint"]
