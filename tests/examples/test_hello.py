"""This file looks at the plain WSGI example through nginx."""

from __future__ import annotations

import penstock
from tests.interop.nginx import ask
from tests.processes import ROOT

APP = str(ROOT / "examples" / "hello.py")


def test_the_page_says_which_way_the_request_came(browser):
    response, page = ask(browser, "GET", "/some/where?a=<b>", Accept_Language="de")
    text = page.decode()
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/html; charset=utf-8"
    for word in ("It works.", f"penstock {penstock.__version__}", "nginx/1.", "/some/where", "a=&lt;b&gt;", "CGI/1.1"):
        assert word in text
    assert "a=<b>" not in text


def test_head_has_the_same_head(browser):
    head, nothing = ask(browser, "HEAD", "/")
    response, page = ask(browser, "GET", "/")
    assert nothing == b""
    assert head.getheader("Content-Type") == response.getheader("Content-Type")
    assert abs(int(head.getheader("Content-Length") or 0) - len(page)) <= 1  # GET has a letter less than HEAD
