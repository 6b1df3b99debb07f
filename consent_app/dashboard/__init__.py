"""What marketing sees: figures with their margins, for the sites an account may see; nothing needs JavaScript."""

from consent_app.dashboard.pages import blueprint

__all__ = ["blueprint"]
