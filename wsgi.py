"""What a WSGI server loads: the application, under the settings of the environment."""

from consent_app import create_app
from consent_app.settings import Settings

app = create_app(Settings.from_environment())
