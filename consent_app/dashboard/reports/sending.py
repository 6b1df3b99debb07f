"""Handing messages to a mail server: encrypted unless it is on this machine, its certificate checked."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Final

from consent_app.dashboard.reports.contents import ReportError
from consent_app.settings import Settings, variable

PATIENCE: Final = 30  # seconds
_Server = smtplib.SMTP


def send(messages: Sequence[EmailMessage], settings: Settings) -> None:
    """Send each; raises ReportError naming those that the server refused, or why nothing could be sent at all."""
    check(settings)
    refused = []
    with _connected(settings) as server:
        for mail in messages:
            try:
                server.send_message(mail)
            except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
                refused.append(f"{mail['To']} ({_reason(error)})")
                server.rset()
    if refused:
        raise ReportError(f"the mail server refused {', '.join(refused)}; {len(messages) - len(refused)} were sent")


def check(settings: Settings) -> None:
    """Raise ReportError unless the settings say where to send and from whom, and keep a password from open lines."""
    for name in ("smtp_host", "mail_from"):
        if not getattr(settings, name):
            raise ReportError(
                f"{variable(name)} is not set; docs/reports.md says what is needed, --dry-run needs nothing"
            )
    if settings.smtp_security == "none" and settings.smtp_user and not _is_here(settings.smtp_host):
        raise ReportError(
            f"{variable('smtp_security')} is none, so the password would go over the network in the clear; use starttls"
        )


@contextmanager
def _connected(settings: Settings) -> Iterator[_Server]:
    place = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        with _opened(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
            yield server
    except smtplib.SMTPNotSupportedError as error:
        raise ReportError(f"mail server {place}: {error}") from error
    except smtplib.SMTPAuthenticationError as error:
        raise ReportError(f"mail server {place} does not know {settings.smtp_user} by this password") from error
    except (OSError, smtplib.SMTPException) as error:
        raise ReportError(f"mail server {place}: {_reason(error)}") from error


@contextmanager
def _opened(settings: Settings) -> Iterator[_Server]:
    host, port, security = settings.smtp_host, settings.smtp_port, settings.smtp_security
    trusted = ssl.create_default_context(cafile=settings.smtp_ca_file or None)
    server = (
        smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=trusted)
        if security == "tls"
        else smtplib.SMTP(host, port, timeout=PATIENCE)
    )
    with server:
        if security == "starttls":
            server.starttls(context=trusted)
        yield server


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    """What the server or the system said, without its numbers and without what it was sent."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(text.decode("utf-8", "replace") for _, text in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
