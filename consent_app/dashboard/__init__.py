"""What marketing sees: figures with their margins, for the sites an account may see; nothing needs JavaScript."""

from consent_app.dashboard import account, exports, records, trail
from consent_app.dashboard.pages import blueprint

blueprint.register_blueprint(records.blueprint)
blueprint.register_blueprint(exports.blueprint)
blueprint.register_blueprint(account.blueprint)
blueprint.register_blueprint(trail.blueprint)
blueprint.after_request(trail.watch)

__all__ = ["blueprint"]
