"""Checks of a receipt file by itself: no server, no network, no data home."""
