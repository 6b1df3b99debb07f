"""What marketing sees: figures with their margins, for the sites an account may see; nothing needs JavaScript."""

from consent_app.dashboard import records
from consent_app.dashboard.pages import blueprint

blueprint.register_blueprint(records.blueprint)

__all__ = ["blueprint"]
