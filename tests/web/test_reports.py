"""Reports by e-mail: what they say, that mail programs can show it, and that a real mail server takes it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.sync_api import Browser

from anonymiser.stats import Statistics
from consent_app.commands import main
from consent_app.dashboard.reports.contents import MONTH, WEEK, Report, ReportError, in_words, report, wanted
from consent_app.dashboard.reports.mail import checked, message, parts
from consent_app.dashboard.reports.sending import send
from consent_app.settings import Settings
from consent_app.sites import Site, Sites
from tests.web.api_figures import write

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
SENDER = "statistics@example.com"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Statistics]:
    """Made-up figures of three sites."""
    file = tmp_path_factory.mktemp("figures") / "stats.duckdb"
    write(file)
    with Statistics(file) as statistics:
        yield statistics


@pytest.fixture(scope="module")
def sites() -> Sites:
    return Sites.load(Path(__file__).parents[2] / "consent_app" / "starter" / "sites.toml")


def october(statistics: Statistics, site: Site) -> Report:
    return report(statistics, site, wanted(MONTH, TODAY))


def mailed(
    statistics: Statistics, site: Site, to: str = "mary@example.com", period: str = MONTH, **changes: Any
) -> EmailMessage:
    """A report as it arrives."""
    usual: dict[str, Any] = {"mail_from": SENDER, "public_url": "https://consent.example"}
    settings = Settings.from_environment({}, **usual | changes)
    written = parts(report(statistics, site, wanted(period, TODAY)), statistics, settings)
    return received(bytes(message(written, SENDER, to, NOW)))


def received(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=default)
    assert isinstance(found, EmailMessage)
    return found


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def words(html: str) -> str:
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


# -- what it says -----------------------------------------------------------------------------------------------------


def test_the_last_whole_week_and_month() -> None:
    week, month = wanted(WEEK, TODAY), wanted(MONTH, TODAY)
    assert (week.start, week.end) == (date(2026, 11, 16), date(2026, 11, 22))
    assert (month.start, month.end) == (date(2026, 10, 1), date(2026, 10, 31))
    assert wanted(WEEK, date(2026, 11, 23)).end == date(2026, 11, 22)
    assert wanted(MONTH, date(2026, 3, 1)).start == date(2026, 2, 1)
    assert wanted(WEEK, TODAY, date(2026, 10, 7)).start == date(2026, 10, 5)
    assert wanted(MONTH, TODAY, date(2025, 12, 31)).end == date(2025, 12, 31)
    for kind in (WEEK, MONTH):
        with pytest.raises(ReportError, match="is not over"):
            wanted(kind, TODAY, TODAY)


def test_text_and_html_say_the_same_in_words_people_understand(statistics: Statistics, sites: Sites) -> None:
    mail = mailed(statistics, sites.get("kent"))
    text, html = body(mail, "plain"), words(body(mail, "html"))
    for said in (text, html):
        assert "October 2026" in said
        assert "9,300" in said  # 31 days of 300 views, with a margin of 55
        assert re.search(r"give\s+or take 5[05]", said)
        assert re.search(r"50%,? give or take", said)
        assert "Google" in said
        assert "/desks/" in said
        assert "enquiry" in said
    assert "95 of 100" in " ".join(text.split())
    assert "https://consent.example/dashboard/kent?from=2026-10-01&to=2026-10-31" in text
    assert "sigma" not in text + html
    assert "epsilon" not in text + html


def test_changes_are_told_against_the_period_before(statistics: Statistics, sites: Sites) -> None:
    found = report(statistics, sites.get("kent"), wanted(WEEK, TODAY))
    assert found.against == "Changes are against the week before."
    assert {headline.change for headline in found.headlines} == {"no clear change"}
    assert october(statistics, sites.get("kent")).against == ""  # nothing is released of September
    assert in_words("up 12% ± 4") == "up 12%, give or take 4"


def test_missing_days_and_breakdowns_are_said(statistics: Statistics, sites: Sites) -> None:
    kent = october(statistics, sites.get("kent"))
    assert kent.coverage == ""
    assert kent.told[0].note == "Whole weeks only: 1 to 25 Oct 2026."
    surrey = mailed(statistics, sites.get("surrey"), period=WEEK)
    for kind in ("plain", "html"):
        assert "nothing on sources, pages and goals yet" in " ".join(words(body(surrey, kind)).split())
    assert "visitor-days" in body(surrey, "plain")  # logs know nobody again
    with pytest.raises(ReportError, match="nothing is released"):
        report(statistics, sites.get("orders"), wanted(MONTH, TODAY))
    with pytest.raises(ReportError, match="nothing is released"):
        report(statistics, sites.get("kent"), wanted(MONTH, TODAY, date(2026, 5, 1)))


def test_without_noise_nothing_is_said_to_be_known(statistics: Statistics, sites: Sites) -> None:
    mail = mailed(statistics, sites.get("defibrental"))
    assert "give or take" not in body(mail, "plain") + body(mail, "html")
    assert "Nothing is known of how far" in words(body(mail, "html"))


def test_bars_end_where_the_noise_does(statistics: Statistics, sites: Sites) -> None:
    found = october(statistics, sites.get("kent"))
    assert len(found.bars) == 31
    assert [bar.label for bar in found.bars if bar.label] == ["1", "8", "15", "22", "29"]
    highest = 100 + 1.959964 * 5
    assert {(bar.low, bar.high) for bar in found.bars} == {(round(96 * (200 - highest) / highest), 96)}


# -- what a mail program gets -----------------------------------------------------------------------------------------


def test_nothing_is_fetched_and_nothing_tells_when_it_is_read(statistics: Statistics, sites: Sites) -> None:
    html = body(mailed(statistics, sites.get("kent")), "html")
    assert re.findall(r"(?i)<(img|link|script|iframe|object|video|audio|form|input|base|svg)\b", html) == []
    assert re.findall(r"(?i)\ssrc=|url\(|@import|@font-face|background=|http-equiv", html) == []
    links = set(re.findall(r'(?:href|action)="([^"]+)"', html))
    assert links == {"https://consent.example/dashboard/kent?from=2026-10-01&amp;to=2026-10-31",
                     f"mailto:{SENDER}?subject=unsubscribe%20kent"}  # fmt: skip
    assert len(html) < 100_000  # beyond 102 kB some programs cut a message off


def test_names_cannot_carry_markup_or_headers(statistics: Statistics, sites: Sites) -> None:
    hostile = replace(
        sites.get("kent"), name='A <script>alert(1)</script> & "co"\nBcc: eve@example.com'.replace("\n", " ")
    )
    mail = mailed(statistics, hostile)
    assert "<script>alert" not in body(mail, "html")
    assert "&lt;script&gt;alert(1)" in body(mail, "html")
    assert "A <script>" in body(mail, "plain")
    assert mail["Bcc"] is None
    for address in ("eve", "a@b\nBcc: c@d", "a@b,c@d", "<a@b>", "a b@c", "", "a@-", "é@\x00"):
        with pytest.raises(ReportError, match="no e-mail address"):
            checked(address)


def test_its_headers(statistics: Statistics, sites: Sites) -> None:
    mail = mailed(statistics, sites.get("kent"))
    assert re.fullmatch(r"Kent Office Solutions, October 2026: [0-9,]+ visitors", mail["Subject"])
    assert mail["To"] == "mary@example.com"
    assert mail["From"] == f"Statistics <{SENDER}>"
    assert mail["List-Unsubscribe"] == f"<mailto:{SENDER}?subject=unsubscribe%20kent>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert mail["Message-ID"] != mailed(statistics, sites.get("kent"))["Message-ID"]
    assert mail.get_content_type() == "multipart/mixed"
    assert max(len(line) for line in bytes(mail).splitlines()) <= 998  # RFC 5322 section 2.1.1


def test_the_figures_are_attached_as_they_were_released(statistics: Statistics, sites: Sites) -> None:
    mail = mailed(statistics, sites.get("kent"))
    files = {part.get_filename(): part for part in mail.iter_attachments()}
    assert [*files] == [f"kent-2026-10-{name}" for name in ("totals.csv", "sources.csv", "pages.csv", "goals.csv",
                                                            "chart.svg")]  # fmt: skip
    days = [*csv.DictReader(io.StringIO(files["kent-2026-10-totals.csv"].get_content()))]
    assert [row["views"] for row in days] == ["300"] * 31
    pages = [*csv.DictReader(io.StringIO(files["kent-2026-10-pages.csv"].get_content()))]
    assert {row["page"] for row in pages} >= {"/", "'=1+1"}
    assert files["kent-2026-10-chart.svg"].get_content_type() == "image/svg+xml"
    svg = ET.fromstring(files["kent-2026-10-chart.svg"].get_content())
    assert "Lowest: 100" in "".join(svg.itertext())
    assert [
        each for each in svg.iter() if each.tag.rpartition("}")[2] in ("script", "image", "a", "foreignObject")
    ] == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen(
    chromium: Browser, statistics: Statistics, sites: Sites, tmp_path: Path, scheme: Any
) -> None:
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    file = tmp_path / "report.html"
    for site, period in (("kent", MONTH), ("surrey", WEEK), ("defibrental", MONTH)):
        file.write_text(body(mailed(statistics, sites.get(site), period=period), "html"), "utf-8")
        page.goto(file.as_uri())
        for width in (320, 600, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(LOW_CONTRAST) == []
    assert {*asked} == {file.as_uri()}
    context.close()


# The texts whose contrast against the nearest painted background is below 4.5 (WCAG 2.2, 1.4.3).
LOW_CONTRAST = """() => {
  const lum = c => c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const low = [];
  for (const el of document.body.querySelectorAll('*')) {
    const own = [...el.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(el);
    if (!own || el.closest('[style*="display:none"]') || style.fontSize === '0px') continue;
    const painted = at => rgb(getComputedStyle(at).backgroundColor);
    let at = el, back = painted(el);
    while (back.length === 4 && back[3] === 0) back = painted(at = at.parentElement);
    const [a, b] = [lum(rgb(style.color).slice(0, 3)), lum(back.slice(0, 3))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${el.textContent.trim().slice(0, 40)} ${style.color}`);
  }
  return low;
}"""


# -- a real mail server -----------------------------------------------------------------------------------------------


class Mailbox:
    """Keeps what it is sent, and wants nothing for Eve."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], EmailMessage]] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address.startswith("eve@"):
            return "550 there is no Eve here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.messages.append(([str(to) for to in envelope.rcpt_tos], received(envelope.content)))
        self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("cipher") is not None)
        return "250 kept"


@contextmanager
def listening(box: Mailbox, **options: Any) -> Iterator[int]:
    """A real server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of what a test asks of it on purpose
        controller = Controller(box, hostname="127.0.0.1", port=port, **options)
        controller.start()
        try:
            yield port
        finally:
            controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of our own for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail server of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def settings(port: int, **changes: Any) -> Settings:
    usual: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", "mail_from": SENDER}
    return Settings.from_environment({}, **usual | changes)


def mails(*recipients: str) -> list[EmailMessage]:
    found = []
    for to in recipients:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = SENDER, to, "figures"
        mail.set_content("figures")
        found.append(mail)
    return found


def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"mailer", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def test_each_recipient_gets_a_message_of_their_own() -> None:
    box = Mailbox()
    with listening(box) as port:
        send(mails("mary@example.com", "tom@example.com"), settings(port))
    assert [(to, mail["To"]) for to, mail in box.messages] == [
        (["mary@example.com"], "mary@example.com"), (["tom@example.com"], "tom@example.com"),
    ]  # fmt: skip


def test_a_report_arrives_as_it_was_written(statistics: Statistics, sites: Sites) -> None:
    box = Mailbox()
    with listening(box) as port:
        here = settings(port)
        written = parts(october(statistics, sites.get("kent")), statistics, here)
        send([message(written, SENDER, "mary@example.com", NOW)], here)
    ((_, mail),) = box.messages
    assert body(mail, "html") == body(mailed(statistics, sites.get("kent"), public_url=here.public_url), "html")
    assert len([*mail.iter_attachments()]) == 5


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_line_is_encrypted_and_the_certificate_checked(
    certificate: Path, tls: ssl.SSLContext, security: str
) -> None:
    box = Mailbox()
    options: dict[str, Any] = {"ssl_context": tls} if security == "tls" else {"tls_context": tls}
    with listening(box, **options) as port:
        here = settings(port, smtp_security=security)
        with pytest.raises(ReportError, match="certificate is not trusted"):
            send(mails("mary@example.com"), here)
        send(mails("mary@example.com"), replace(here, smtp_ca_file=str(certificate)))
    assert box.encrypted == [True]


def test_a_server_that_cannot_encrypt_gets_nothing() -> None:
    box = Mailbox()
    with listening(box) as port, pytest.raises(ReportError, match="STARTTLS"):
        send(mails("mary@example.com"), settings(port, smtp_security="starttls"))
    assert box.messages == []


def test_it_signs_in_where_it_has_an_account(certificate: Path, tls: ssl.SSLContext) -> None:
    box = Mailbox()
    with listening(box, tls_context=tls, authenticator=known, auth_required=True) as port:
        account = {"smtp_security": "starttls", "smtp_ca_file": str(certificate), "smtp_user": "mailer"}
        send(mails("mary@example.com"), settings(port, **account, smtp_password=PASSWORD))
        with pytest.raises(ReportError, match="does not know mailer by this password") as refused:
            send(mails("mary@example.com"), settings(port, **account, smtp_password="wrong"))
    assert len(box.messages) == 1
    assert PASSWORD not in str(refused.value)


def test_a_password_never_goes_over_an_open_line() -> None:
    with pytest.raises(ReportError, match="in the clear"):
        send(mails("mary@example.com"), settings(25, smtp_host="mail.example", smtp_user="a", smtp_password=PASSWORD))


def test_who_is_refused_is_named_and_the_others_get_theirs() -> None:
    box = Mailbox()
    with listening(box) as port, pytest.raises(ReportError, match=r"eve@example.com \(there is no Eve.*; 2 were sent"):
        send(mails("mary@example.com", "eve@example.com", "tom@example.com"), settings(port))
    assert [to for to, _ in box.messages] == [["mary@example.com"], ["tom@example.com"]]


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        port = taken.getsockname()[1]
        with pytest.raises(ReportError, match=f"mail server 127.0.0.1:{port}: .*refused"):
            send(mails("mary@example.com"), settings(port))


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def figures(home: Path, statistics: Statistics, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with figures; the command's clock is the real one, so it is told which month."""
    write(home / "stats.duckdb")
    monkeypatch.setenv("CONSENT_HOME", str(home))
    return home


def ran(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["report", "kent", "--day", "2026-10-05", *words])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.skipif(date.today() < date(2026, 11, 1), reason="the clock of this machine is before the figures")  # noqa: DTZ011
def test_the_command_writes_and_sends(figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran("--dry-run", str(tmp_path / "out"))
    mail = received((tmp_path / "out" / "kent-2026-10.eml").read_bytes())
    assert "9,300" in body(mail, "plain")
    ran("--dry-run", str(tmp_path / "two"), "--to", "a@example.com", "--to", "b@example.com", "--period", "week")
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == [
        "kent-2026-10-05-1.eml", "kent-2026-10-05-2.eml",
    ]  # fmt: skip
    assert "CONSENT_SMTP_HOST" in ran("--to", "a@example.com", code=2).stderr
    box = Mailbox()
    with listening(box) as port:
        for name, value in {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_SECURITY": "none",
                            "MAIL_FROM": SENDER}.items():  # fmt: skip
            monkeypatch.setenv(f"CONSENT_{name}", value)
        assert "--to ADDRESS" in ran(code=2).stderr
        monkeypatch.setenv("CONSENT_REPORT_TO", "mary@example.com, tom@example.com")
        assert "sent to mary@example.com, tom@example.com" in ran().stdout
        assert "no e-mail address" in ran("--to", "nonsense", code=2).stderr
        assert "nothing is released" in ran("--day", "2026-05-05", code=2).stderr
    assert len(box.messages) == 2


UNITS = ("consent-report@.service", "consent-report@.timer")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed here")
def test_systemd_accepts_the_units_and_finds_little_exposed(root: Path, tmp_path: Path) -> None:
    for name in UNITS:
        text = (root / "deploy" / "systemd" / name).read_text("utf-8")
        (tmp_path / name.replace("@", "@kent")).write_text(text.replace("/opt/consent/bin/consent", sys.executable))
    files = [str(tmp_path / name.replace("@", "@kent")) for name in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    words = ["systemd-analyze", "security", "--offline=true", files[0]]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert exposure, said
    assert float(exposure[1]) <= 2.0
