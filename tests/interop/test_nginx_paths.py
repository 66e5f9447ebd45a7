"""This file holds where an application lives: SCRIPT_NAME and PATH_INFO for each way to write it into nginx.conf."""

from __future__ import annotations

import json

import pytest

from tests.interop.backend import Backend, start
from tests.interop.nginx import ROOT_STYLE, STOCK_STYLE, SUB_STYLE, Front, ask
from tests.interop.nginx import start as start_nginx

STYLES = {"root": ROOT_STYLE, "stock": STOCK_STYLE, "sub": SUB_STYLE}


@pytest.fixture(scope="module")
def mounted(lasting, scratch) -> Backend:
    """An application that is told where it lives."""
    return start(lasting, "--mount", "/show", bind=(f"unix:{scratch}/mounted",))


@pytest.fixture(scope="module")
def placed(backend, mounted, lasting, scratch, nginx):
    """A client function for each application and style."""
    folder = scratch / "placed-nginx"
    folder.mkdir()
    fronts = {
        (mount, style): Front((mounted if mount else backend).addresses[0], style=STYLES[style])
        for mount in (True, False)
        for style in STYLES
    }
    web = start_nginx(lasting, nginx, folder, list(fronts.values()))

    def environ(mount: bool, style: str, target: str) -> dict[str, str]:
        browser = web.connect(fronts[mount, style])
        response, body = ask(browser, "GET", target)
        browser.close()
        assert response.status == 200, body
        found: dict[str, str] = json.loads(body)
        return found

    return environ


@pytest.mark.parametrize("style", ["root", "stock"])
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/show", b"/show"),
        ("/show/", b"/show/"),
        ("/show/x%20y/z?q=1", b"/show/x y/z"),
        ("/show/a%2Fb", b"/show/a/b"),
        ("/show/%E4%B8%AD%FF", b"/show/\xe4\xb8\xad\xff"),
        ("/show/%3F%23%25", b"/show/?#%"),
    ],
)
def test_at_the_root(placed, style, target, path):
    environ = placed(False, style, target)
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"].encode("latin-1") == path
    assert environ["REQUEST_URI"] == target


@pytest.mark.parametrize(
    ("target", "path"),
    [("/sub/show", b"/show"), ("/sub/show/a%2Fb/", b"/show/a/b/"), ("/sub/show/%C3%A9", b"/show/\xc3\xa9")],
)
def test_under_a_prefix_that_nginx_splits_off(placed, target, path):
    environ = placed(False, "sub", target)
    assert environ["SCRIPT_NAME"] == "/sub"
    assert environ["PATH_INFO"].encode("latin-1") == path


@pytest.mark.parametrize("style", ["root", "stock"])
@pytest.mark.parametrize(
    ("target", "path"),
    [("/show/show", b"/show"), ("/show/show/a%2Fb/", b"/show/a/b/"), ("/show/show/%C3%A9", b"/show/\xc3\xa9")],
)
def test_under_a_mount_that_penstock_is_told(placed, style, target, path):
    environ = placed(True, style, target)
    assert environ["SCRIPT_NAME"] == "/show"
    assert environ["PATH_INFO"].encode("latin-1") == path


def test_a_mount_ends_at_a_slash(placed, mounted):
    with mounted.client() as client:
        assert client.request("GET", "/showroom").status == 404
