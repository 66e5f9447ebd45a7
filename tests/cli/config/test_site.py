"""This file tests what `penstock config` makes of its options: a wrong one has a sentence, a right one its meaning."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.config.servers import SERVERS
from penstock.cli.config.site import Site, SiteError, app_name, host_name, place, prefix
from penstock.cli.config.text import config_text, locate


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("blog:app", "blog"),
        ("mysite.wsgi:application", "mysite"),
        ("/srv/blog/app.py", "blog"),
        ("/srv/my-blog/wsgi.py:application", "my_blog"),
        ("shop.fcgi", "shop"),
        ('blog:create_app("a/b.py")', "blog"),
        ("app", "app"),
        ("/srv/9/app.py", "app"),
        ("\u00fc:app", "app"),
        ("/srv/a:b/shop.py", "shop"),
    ],
)
def test_an_application_has_a_word_for_a_name(app, name):
    assert app_name(app) == name


@given(st.text())
def test_a_name_needs_no_quotes_whatever_it_is_made_of(app):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", app_name(app))


@pytest.mark.parametrize(
    ("text", "at"), [("", ""), ("/", ""), ("/app", "/app"), ("/app/", "/app"), ("/a.b/c", "/a.b/c")]
)
def test_a_prefix_has_a_slash_in_front_and_none_behind(text, at):
    assert prefix("--mount", text) == at


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app", "'app' does not begin with a slash; did you mean /app?"),
        ("/a b", "holds more than letters, digits and . _ ~ - between its slashes"),
        ("/a/../b", "a mount is a path such as /app"),
        ("/a\n}", "between its slashes"),
        ('/a"', "between its slashes"),
        ("/a$b", "between its slashes"),
        ("/a(.*)", "between its slashes"),
    ],
)
def test_a_wrong_prefix_is_refused(text, said):
    with pytest.raises(SiteError, match=re.escape(said)):
        prefix("--mount", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fd:3", "a descriptor of one process"),
        ("127.0.0.1:0", "name a fixed port"),
        ("a;b:80", "neither an IP address nor a host name"),
        ("/run/a.sock", "did you mean unix:/run/a.sock?"),
        ("unix:/a\nb", "holds a control character"),
        ("unix:/a\udcffb", "no UTF-8"),
        ("unix:/a,b", "a comma, which separates addresses"),
        ("unix:/" + 107 * "a", "longer than the 107 bytes"),
    ],
)
def test_an_address_that_no_web_server_can_use_is_refused(text, said):
    with pytest.raises(SiteError, match=re.escape(said)):
        place("--bind", text)


def test_a_relative_socket_is_where_the_command_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place("--bind", "unix:a.sock").path == f"{tmp_path}/a.sock"


@pytest.mark.parametrize("name", ["example.org", "*.example.org", "localhost", "a_b.test", "192.0.2.1"])
def test_a_host_name(name):
    assert host_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "~^www", "a;b", "a{", "-a", "a.*", "ex\u00e4mple.org"])
def test_what_is_no_host_name_is_refused(name):
    with pytest.raises(SiteError, match="is no host name; write one such as example.org"):
        host_name(name)


def test_an_application_of_the_current_folder_is_found_from_elsewhere(tmp_path):
    (tmp_path / "blog.py").touch()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    folder = str(tmp_path)
    assert locate("blog:app", folder) == f"{folder}/blog.py:app"
    assert locate("shop", folder) == f"{folder}/shop/__init__.py"
    assert locate("shop.wsgi:app", folder) == "shop.wsgi:app"
    assert locate("a/b.py:app", folder) == f"{folder}/a/b.py:app"
    assert locate("/a/b.fcgi", folder) == "/a/b.fcgi"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bind": "127.0.0.1:9", "upstreams": ["127.0.0.1:8"]}, "--bind and --upstream exclude each other"),
        ({"upstreams": ["127.0.0.1:8", "127.0.0.1:8"]}, "the same address is there twice"),
        ({"listen": "unix:/run/http"}, "HTTP is listened for at HOST:PORT"),
        ({"tls_cert": "/c.pem"}, "--tls-cert and --tls-key come together"),
        ({"static": [("/", "/srv")]}, "files need a prefix of their own"),
        ({"static": [("/app", "/srv")], "mount": "/app"}, "files need a prefix of their own"),
        ({"static": [("/a", "/srv"), ("/a/", "/srv2")]}, "files need a prefix of their own"),
        ({"static": [("/a", "/srv\n")]}, "holds a control character"),
        ({"user": "a b"}, "is no name for a configuration"),
        ({"app": "blog:app\nroot"}, "APP: 'blog:app\\nroot' holds a control character"),
        ({"state_dir": "/a$b", "full": True}, "holds '$', which cannot be written in nginx's configuration"),
    ],
)
def test_what_cannot_be_followed_is_refused(options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        config_text("nginx", Site(**({"app": "blog:app"} | options)))


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        ("haproxy", {"static": [("/a", "/srv")]}, "haproxy takes no --static: it serves no files"),
        ("haproxy", {"tls_cert": "/c", "tls_key": "/k"}, "haproxy takes it from /c.key"),
        ("systemd", {"full": True}, "systemd takes no --full: what is written is whole already"),
        ("systemd", {"tls_cert": "/c", "tls_key": "/k"}, "systemd takes no --tls-cert: "),
        ("h2o", {"upstreams": ["127.0.0.1:1", "127.0.0.1:2"]}, "h2o takes no --upstream: "),
        ("apache-fcgid", {"bind": "unix:/a"}, "apache-fcgid takes no --bind: it makes the sockets"),
        ("apache-fcgid", {}, "APP: apache-fcgid starts a file; write its path, which ends in .py or .fcgi"),
        ("apache-fcgid-htaccess", {"app": "/srv/app.py"}, "write its path, which ends in .fcgi"),
        ("nginxx", {}, "there is no template for 'nginxx'; did you mean nginx?"),
        ("FCGID", {}, "did you mean apache-fcgid?"),
        ("iis", {}, f"there is no template for 'iis'; there are {', '.join(SERVERS)}"),
    ],
)
def test_a_server_says_what_it_cannot_do_and_why(server, options, said):
    with pytest.raises(SiteError, match=re.escape(said)):
        config_text(server, Site(**({"app": "nosuchmodule:app"} | options)))


def test_a_state_directory_is_the_current_one_unless_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = config_text("nginx", Site(app="blog:app", full=True))
    assert f'pid "{os.path.realpath(tmp_path)}/nginx.pid";' in text
