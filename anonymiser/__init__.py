"""The batch house: raw page views and web-server logs in, safe aggregated statistics out. Knows no web framework."""
