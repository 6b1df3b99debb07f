"""The same page views in the clothes of every log format that is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from tests.batch import oracle

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


@dataclass(frozen=True)
class View:
    at: datetime
    ip: str
    method: str
    target: str
    status: int
    referrer: str
    agent: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def views(referrers: bool = True) -> list[View]:
    """Two days of views, assets, robots, errors and a download; nothing that only one format could say."""
    targets = (
        "/",
        "/desks?utm_source=letter&utm_medium=email",
        "/chairs/",
        "/site.css",
        "/list.pdf",
        "/gone",
        "/caf%C3%A9",
    )
    agents = (FIREFOX, CHROME, "curl/8.5.0")
    found = []
    for number in range(400):
        target = targets[number * 3 % len(targets)]
        found.append(
            View(
                datetime(2026, 5, 17, 8, tzinfo=UTC) + timedelta(minutes=4 * number),
                f"192.0.2.{number % 17}" if number % 5 else "2001:db8::7",
                "POST" if number % 29 == 3 else "GET",
                target,
                404 if target == "/gone" else 301 if number % 31 == 5 else 200,
                "https://www.google.com/" if referrers and number % 3 == 0 else "-",
                agents[number % 3],
            )
        )
    return found


def combined(view: View) -> str:
    stamp = view.at.strftime("%d/%b/%Y:%H:%M:%S +0000")
    asked = f'"{view.method} {view.target} HTTP/1.1" {view.status} 5'
    return f'{view.ip} - - [{stamp}] {asked} "{view.referrer}" "{view.agent}"'


def caddy(view: View) -> str:
    headers = {"User-Agent": [view.agent]} | ({"Referer": [view.referrer]} if view.referrer != "-" else {})
    request = {
        "remote_ip": view.ip,
        "method": view.method,
        "host": "kent.example",
        "uri": view.target,
        "headers": headers,
    }
    return json.dumps({"level": "info", "ts": view.at.timestamp() + 0.25, "request": request, "status": view.status})


def traefik(view: View) -> str:
    return json.dumps(
        {"ClientHost": view.ip, "RequestMethod": view.method, "RequestPath": view.target,
         "DownstreamStatus": view.status, "StartUTC": view.at.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
         "request_User-Agent": view.agent,
         "request_Referer": view.referrer, "time": "2001-01-01T00:00:00Z"}
    )  # fmt: skip


def nginx(view: View) -> str:
    return json.dumps(
        {"time_iso8601": (view.at + timedelta(0)).isoformat(), "remote_addr": view.ip,
         "request": f"{view.method} {view.target} HTTP/1.1", "status": str(view.status), "http_referer": view.referrer,
         "http_user_agent": view.agent}
    )  # fmt: skip


def apache(view: View) -> str:
    return json.dumps(
        {"time": view.at.strftime("%d/%b/%Y:%H:%M:%S +0000"), "remoteIP": view.ip, "request": view.path,
         "query": f"?{view.query}" if view.query else "", "method": view.method, "status": str(view.status),
         "userAgent": view.agent, "referer": view.referrer}
    )  # fmt: skip


def old_caddy(view: View) -> str:
    return caddy(view).replace(f'"remote_ip": "{view.ip}"', f'"remote_addr": "{view.ip}:41342"')


def local_time(view: View) -> str:
    """A clock an hour ahead, its offset without a colon, the whole in brackets."""
    said = (view.at + timedelta(hours=1)).strftime("[%Y-%m-%dT%H:%M:%S+0100]")
    return json.dumps(json.loads(apache(view)) | {"time": said})


def cloudfront(view: View) -> str:
    columns = (
        *(
            f"{view.at:%Y-%m-%d}",
            f"{view.at:%H:%M:%S}",
            "LHR61-P1",
            "512",
            view.ip,
            view.method,
            "d1.example",
            view.path,
        ),
        *(str(view.status), view.referrer, quote(view.agent, safe="/();,.:_-"), view.query or "-", "-", "Hit"),
    )
    return "\t".join(columns)


CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
    "cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type\n"
)


def classic_balancer(view: View) -> str:
    return (
        f"{view.at:%Y-%m-%dT%H:%M:%S}.945958Z my-balancer {view.ip}:2817 10.0.0.1:80 0.000073 0.001048 0.000057 "
        f'{view.status} 200 0 29 "{view.method} http://kent.example:80{view.target} HTTP/1.1" "{view.agent}" - -'
    )


def application_balancer(view: View) -> str:
    return (
        f"https {view.at:%Y-%m-%dT%H:%M:%S}.186641Z app/my/50dc6c495c0c9188 {view.ip}:2817 10.0.0.1:80 "
        f'0.000 0.001 0.000 {view.status} - 34 366 "{view.method} https://kent.example:443{view.target} HTTP/2.0" '
        f'"{view.agent}" ECDHE-RSA TLSv1.2 arn:x "Root=1-58337281" "kent.example" "-" 0 - "forward" "-" "-"'
    )


def common(view: View) -> str:
    return combined(view).partition(f'" {view.status} 5 ')[0] + f'" {view.status} 5'


def virtual(view: View) -> str:
    return f"www.kent.example:443 {combined(view)}"


def host_first(view: View) -> str:
    return f"kent.example {combined(view)}"


def iis(view: View) -> str:
    agent = view.agent.replace(" ", "+")
    return (
        f"{view.at:%Y-%m-%d %H:%M:%S} 10.0.0.1 {view.method} {view.path} {view.query or '-'} 443 - {view.ip} {agent} "
        f"{view.referrer} {view.status} 0 0 17"
    )


IIS = (
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status "
    "sc-substatus sc-win32-status time-taken"
)


def native(view: View) -> str:
    at = f"{view.at.month}/{view.at.day}/{view.at:%y}, {view.at:%H:%M:%S}"
    ending = f"{view.method}, {view.path}, {view.query or '-'},"
    return f"{view.ip}, -, {at}, W3SVC1, SRV, 10.0.0.1, 15, 300, 5, {view.status}, 0, {ending}"


def tabs(view: View) -> str:
    """As WebLogic and proxies write: tabs, whole addresses, user agents with their spaces."""
    address = f"https://www.kent.example{view.target}"
    return "\t".join(
        (view.ip, "-", view.agent, f"{view.at:%Y-%m-%d}", f"{view.at:%H:%M:%S}", view.method, address, str(view.status))
    )


def tomcat(view: View) -> str:
    """Quotes around what the visitor sent, and fractions of seconds; the date stands in the header."""
    said = view.agent.replace('"', '""')
    return (
        f'{view.at:%H:%M:%S}.123 {view.ip} {view.method} {view.target} {view.status} 0.017 "{said}" "{view.referrer}"'
    )


def mangled(view: View) -> str:
    """nginx set up for JSON without its escapes: quotes and what is no ASCII become \\xHH."""
    return nginx(view).replace('HTTP/1.1"', 'HTTP/1.1 \\x22odd\\x22"')


def stamped(form: Callable[[datetime], object]) -> Callable[[View], str]:
    """Caddy with its time in another form."""
    return lambda view: json.dumps(json.loads(caddy(view)) | {"ts": form(view.at)})


@dataclass(frozen=True)
class Case:
    format: str
    line: Callable[[View], str]
    header: str = ""
    referrers: bool = True
    oracle: Callable[[Path], object] = oracle.json_lines
    agents: bool = True
    days: int = 2


CASES = {
    "common": Case("combined", common, referrers=False, oracle=oracle.combined, agents=False),
    "virtual host and port": Case("combined", virtual, oracle=oracle.combined),
    "host first": Case("combined", host_first, oracle=oracle.combined),
    "iis": Case("iis", iis, f"#Software: Microsoft Internet Information Services\n#Fields: {IIS}\n", oracle=oracle.w3c),
    "iis native": Case("iis-native", native, referrers=False, oracle=oracle.native, agents=False),
    "w3c with tabs": Case(
        "w3c", tabs,
        "#Software: Proxy 1.0\n#Fields:\tc-ip\tcs-username\tc-agent\tdate\ttime\tcs-method\tcs-uri\tsc-status\n",
        referrers=False, oracle=oracle.w3c,
    ),
    "w3c with quotes": Case(
        "w3c", tomcat,
        "#Version: 2.0\n#Software: Tomcat\n#Date: 2026-05-17 00:00:00\n"
        "#Fields: time c-ip cs-method cs-uri sc-status time-taken cs(User-Agent) cs(Referer)\n",
        oracle=oracle.w3c, days=1,
    ),
    "caddy": Case("json", caddy),
    "traefik": Case("json", traefik),
    "nginx": Case("json", nginx),
    "apache": Case("json", apache),
    "old caddy": Case("json", old_caddy),
    "local time": Case("json", local_time),
    "mangled": Case("json", mangled),
    "milliseconds": Case("json", stamped(lambda at: at.timestamp() * 1000 + 0.5)),
    "nanoseconds": Case("json", stamped(lambda at: int(at.timestamp()) * 10**9 + 7)),
    "wall clock": Case("json", stamped(lambda at: f"{at:%Y/%m/%d %H:%M:%S}.123")),
    "iso8601": Case("json", stamped(lambda at: f"{at - timedelta(hours=3, minutes=30):%Y-%m-%dT%H:%M:%S}.524-0330")),
    "cloudfront": Case("cloudfront", cloudfront, CLOUDFRONT, oracle=oracle.w3c),
    "classic balancer": Case("elb", classic_balancer, referrers=False, oracle=oracle.balancer),
    "application balancer": Case("elb", application_balancer, referrers=False, oracle=oracle.balancer),
}  # fmt: skip


# One of each kind, where the rest of a family only differs in names that the first test has tried.
QUICK = ("common", "host first", "iis", "iis native", "w3c with tabs", "w3c with quotes", "caddy", "nginx", "mangled",
         "iso8601", "cloudfront", "classic balancer", "application balancer")  # fmt: skip
