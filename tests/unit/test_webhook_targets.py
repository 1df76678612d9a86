"""Where webhooks may go: addresses of the internet, by https, and nothing that leads into our own network."""

from __future__ import annotations

import pytest
from aiohttp.helpers import is_ip_address

from domain.errors import InvalidInput
from domain.webhook_targets import check_url, is_literal, is_public


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "64:ff9b::5db8:d70e",
        "172.32.0.1",
        "11.0.0.1",
        "100.128.0.1",
    ],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    """Also behind a NAT64, where an IPv4 address is part of an IPv6 one."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::127.0.0.1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2002:7f00:1::",
        "2001::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2606:4700::1%1", "3fff::1",
        "none", "",
    ],
)  # fmt: skip
def test_other_addresses_are_not(address: str) -> None:
    """This machine, private networks, link-local (metadata of clouds), multicast, reserved ones, tunnels to them."""
    assert not is_public(address)


GOOD = [
    "https://shop.example.com/webhooks",
    "https://shop.example.com:8443/a?b=c",
    "https://SHOP.example.com",
    "https://93.184.215.14/hook",
    "https://[2606:4700:4700::1111]/hook",
    "https://xn--bcher-kva.example.com/hook",
    "https://shop.example.com./hook",
]
BAD = {
    "http://shop.example.com/": "https is needed",
    "ftp://shop.example.com/": "an address like",
    "shop.example.com/hook": "an address like",
    "https:///hook": "an address like",
    "https://user:password@shop.example.com/": "without user",
    "https://shop.example.com@127.0.0.1/": "without user",
    "https://shop.example.com/#part": "fragment",
    "https://shop.example.com\\@127.0.0.1/": "printable",
    "https://shop.example.com/ hook": "printable",
    "https://shop.example.com/\nHost: x": "printable",
    "https://bücher.example.com/": "Punycode",
    "https://shop.example.com:99999/": "not a URL",
    "https://shop.example.com:0/": "port 0",
    "https://[::1/": "not a URL",
    "https://localhost/": "names of the internet",
    "https://postgres/": "names of the internet",
    "https://metadata.google.internal/": "names of the internet",
    "https://printer.local/": "names of the internet",
    "https://127.0.0.1/": "only public",
    "https://[::1]/": "only public",
    "https://[::ffff:10.0.0.1]/": "only public",
    "https://169.254.169.254/latest/meta-data": "only public",
    "https://2130706433/": "four decimal numbers",
    "https://127.1/": "four decimal numbers",
    "https://0x7f.0.0.1/": "four decimal numbers",
    "https://0177.0.0.1/": "four decimal numbers",
    "https://shop..example.com/": "not the name",
    "https://-shop.example.com/": "not the name",
    f"https://shop.example.com/{'a' * 2000}": "2000",
}


@pytest.mark.parametrize("url", GOOD)
def test_takes_urls_of_merchants(url: str) -> None:
    check_url(url, private=False)


@pytest.mark.parametrize("url", BAD)
def test_refuses_what_leads_elsewhere(url: str) -> None:
    """With the field, and what is wrong with it."""
    with pytest.raises(InvalidInput) as refused:
        check_url(url, private=False)
    ((field, message),) = refused.value.fields
    assert field == "url"
    assert BAD[url] in message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/hook", "http://localhost/", "https://[::1]/", "http://api:80/"]
)
def test_development_reaches_this_machine(url: str) -> None:
    """Where the setting allows of it, which is refused outside of development."""
    check_url(url, private=True)


@pytest.mark.parametrize("host", ["2130706433", "127.1", "1.2.3.4", "::1", "0177.0.0.1", "1..2"])
def test_whatever_the_http_client_takes_for_an_address_we_take_for_one(host: str) -> None:
    """It asks no resolver about such a host: what is not judged here would be judged by nobody but the socket."""
    assert is_ip_address(host)
    assert is_literal(host)
