"""Declared keys: closed lists, the site's own, and files that name them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from anonymiser import catalogue, scrub
from anonymiser.bounds import STATISTICS
from anonymiser.errors import InputError
from anonymiser.settings import SiteRules


def test_keys_are_spelt_as_the_counts_spell_them() -> None:
    rules = SiteRules("kent", catalogue={"pages": ("/Contact/", "/order/10412345"), "goals": ("Call us",)})
    pages = catalogue.declared(STATISTICS["pages"], rules)
    assert pages == catalogue.declared(STATISTICS["exits"], rules)
    assert ("/order/:id", "") in pages
    assert catalogue.declared(STATISTICS["goals"], rules) == (("Call us", ""),)


def test_every_statistic_has_its_list() -> None:
    rules = SiteRules("kent", catalogue={"funnels": ("order:1", "order:2")})
    assert catalogue.declared(STATISTICS["visitors"], rules) == (("", ""),)
    assert len(catalogue.declared(STATISTICS["hours"], rules)) == 24
    assert ("GB", "") in catalogue.declared(STATISTICS["countries"], rules)
    assert ("Firefox", "Linux") in catalogue.declared(STATISTICS["browsers"], rules)
    assert ("Google", "Search") in catalogue.declared(STATISTICS["sources"], rules)
    assert catalogue.declared(STATISTICS["outbound"], rules) == ()
    assert catalogue.declared(STATISTICS["funnels"], rules) == (("order", "1"), ("order", "2"))


def test_the_digest_changes_with_the_keys() -> None:
    one, other = (catalogue.digest(SiteRules("kent", catalogue={"pages": pages})) for pages in (("/",), ("/", "/a")))
    assert one != other
    assert one == catalogue.digest(SiteRules("kent", catalogue={"pages": ("/",)}))


def test_a_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("# shop\n/\n/contact\n\ngoal enquiry sent\ncampaign autumn\n/\n")
    assert catalogue.read_file(file) == {
        "pages": ("/", "/contact"), "goals": ("enquiry sent",), "campaigns": ("autumn",)
    }  # fmt: skip


@pytest.mark.parametrize("line", ["contact", "goal", "page /x", "goal  "])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"/\n{line}\n")
    with pytest.raises(InputError, match=r"keys.txt, line 2: must be a path"):
        catalogue.read_file(file)


def test_a_sitemap(tmp_path: Path) -> None:
    file = tmp_path / "sitemap.xml"
    file.write_text(
        '<?xml version="1.0"?><urlset><url><loc> https://kent.example/ </loc></url>'
        "<url><loc>https://kent.example/a&amp;b?x=1</loc></url><url><loc>https://kent.example</loc></url></urlset>"
    )
    assert catalogue.read_sitemap(file) == {"pages": ("/", "/a&b")}
    file.write_text("<urlset/>")
    with pytest.raises(InputError, match="holds no <loc>"):
        catalogue.read_sitemap(file)


def test_a_sitemap_as_servers_write_them(tmp_path: Path) -> None:
    first, second = "<loc><![CDATA[https://kent.example/caf%C3%A9]]></loc>", "<loc>\n/b </loc>"
    text = f"<urlset><url>{first}</url>\r\n<url>{second}</url></urlset>"
    file = tmp_path / "sitemap.xml.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    pages = catalogue.read_sitemap(file)
    assert pages == {"pages": ("/caf%C3%A9", "/b")}
    assert catalogue.declared(STATISTICS["pages"], SiteRules("kent", catalogue=pages)) == (("/café", ""), ("/b", ""))


def test_a_file_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(b"\xef\xbb\xbf/\r\n/contact\r\n")
    assert catalogue.read_file(file) == {"pages": ("/", "/contact")}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<sitemapindex><sitemap><loc>https://kent.example/a.xml</loc></sitemap></sitemapindex>", "index of sitemaps"),
        (gzip.compress(b"<loc>/</loc>", mtime=0)[:-6], "cannot be read to its end"),
        (b"<loc>/caf\xe9</loc>", "is not UTF-8 text"),
    ],
)
def test_a_sitemap_that_cannot_be_used_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "sitemap.xml"
    file.write_bytes(data)
    with pytest.raises(InputError, match=f"sitemap.xml: .*{message}"):
        catalogue.read_sitemap(file)


def test_a_catalogue_has_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("".join(f"/{number}\n" for number in range(catalogue.MOST_PAGES + 1)))
    with pytest.raises(InputError, match="at most 50,000"):
        catalogue.read_file(file)


def test_declared_keys_hold_no_identifier_and_stay_themselves() -> None:
    """What the counts spell is what is declared: scrubbing a declared key changes nothing."""
    rules = SiteRules(
        "kent", catalogue={"pages": ("/user/jane", "/list/jane@post.example", "/a?b=c", "/Shop/Default.ASP")}
    )
    pages = [key for key, _ in catalogue.declared(STATISTICS["pages"], rules)]
    assert pages == ["/user/:id", "/list/:email", "/a", "/shop/default.asp"]
    for statistic in STATISTICS.values():
        keys = [key for pair in catalogue.declared(statistic, rules) for key in pair]
        assert [key for key in keys if scrub.findings(key)] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.txt: No such file"):
        catalogue.read_file(tmp_path / "nothing.txt")
