"""What a WSGI server loads: the application, under the settings of the environment, on a home of this release."""

from datetime import UTC, datetime

from consent_app import create_app, upgrade
from consent_app.settings import Settings

settings = Settings.from_environment()
upgrade.run(settings, datetime.now(UTC))
app = create_app(settings)
