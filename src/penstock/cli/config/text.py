"""This file renders a template: `config_text()` is `penstock config` for programs.

Nothing reaches the text unquoted. Each value in a template goes through a filter that quotes it for the syntax at hand,
and a value that went through none is an error when it is printed (`_only_quoted`), not a hole.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from grp import getgrgid
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from penstock.cli.config.servers import Server, find_server, refuse_options
from penstock.cli.config.site import (
    Place,
    Site,
    SiteError,
    app_name,
    clean_text,
    host_name,
    http_place,
    places,
    prefix,
    user_name,
)
from penstock.cli.values import show_size
from penstock.server.serving import serve

_DEFAULTS: Final = serve.__kwdefaults__ or {}

# Where distributions keep Apache's modules; a complete file names each one.
APACHE_MODULES: Final = (
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/lib64/apache2",
    "/usr/local/libexec/apache24",
    "/usr/local/apache2/modules",
)

# For static files of a full file, which includes nothing; the distribution's own list is longer.
MIME_TYPES: Final = {
    "css": "text/css",
    "gif": "image/gif",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webp": "image/webp",
    "woff2": "font/woff2",
}


def config_text(server: str, site: Site) -> str:
    """Return the configuration of `server`, a name of the table or an alias, for one application.

    Raises:
        SiteError: an option is written wrong, or this server cannot follow it.
        Refused: a value cannot be written in this server's syntax.
    """
    row = find_server(server)
    refuse_options(row, site)
    text = _environment(row.name).get_template(f"{row.name}.j2").render(context(row, site))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def context(server: Server, site: Site) -> dict[str, Any]:
    """What templates may use."""
    state_dir = os.path.abspath(clean_text("--state-dir", site.state_dir or os.getcwd()))
    app = clean_text("APP", site.app)
    name = app_name(app)
    found = places(site, "" if site.full else server.default_bind.format(name=name))
    user = user_name("--user", server.user if site.user is None else site.user)
    if bool(site.tls_cert) != bool(site.tls_key):
        raise SiteError("--tls-cert and --tls-key come together")
    mount = prefix("--mount", site.mount)
    group = user_name("the group of --user", _group_of(user))
    file = _app_file(server, app)
    folder, base = os.path.split(file)
    return {
        "app": app,
        "app_file": file,
        "app_folder": folder,
        "app_base": base,
        "app_suffix": os.path.splitext(base)[1],
        "apache_modules": next(filter(os.path.isdir, APACHE_MODULES), APACHE_MODULES[0]),
        "virtual": os.path.join(state_dir, f"penstock-{name}.fcgi"),
        "host": name.replace("_", "-"),
        "unit": "penstock-" + name.replace("_", "-"),
        "private_home": any(path.split("/")[1:2] in (["home"], ["root"]) for path in (file, sys.executable)),
        "spawn": _spawn_words(app, mount, quiet="full" not in server.refuses),
        "folder": os.getcwd(),
        "name": name,
        "starts": [_start_words(app, place, site.mount and (mount or "/"), group) for place in found],
        "mount": mount,
        "http": http_place(site.listen),
        "names": [host_name(name) for name in site.server_names],
        "static": _static(site.static, mount),
        "tls": bool(site.tls_cert),
        "tls_cert": _path("--tls-cert", site.tls_cert),
        "tls_key": _path("--tls-key", site.tls_key),
        "places": found,
        "place": found[0],
        "full": site.full,
        "state": state_dir,
        "user": user,
        "group": group,
        "io_timeout": round(_DEFAULTS["io_timeout"]),
        "graceful_timeout": round(_DEFAULTS["graceful_timeout"]),
        "max_body": _DEFAULTS["max_body"],
        "types": MIME_TYPES,
    }


def _path(option: str, text: str) -> str:
    return os.path.abspath(clean_text(option, text)) if text else ""


def _static(pairs: Sequence[tuple[str, str]], mount: str) -> list[tuple[str, str]]:
    """Prefixes and absolute directories, each prefix once."""
    found = {}
    for url, folder in pairs:
        at = prefix("--static", url)
        if not at or at == mount or at in found:
            raise SiteError(f"--static {at or '/'}: files need a prefix of their own, as in --static /static=DIR")
        found[at] = _path("--static", folder)
    return list(found.items())


def _start_words(app: str, place: Place, mount: str, group: str) -> list[str]:
    """The command that starts penstock for this configuration."""
    words = ["penstock", "serve", app, "--bind", place.address]
    if mount:
        words += ["--mount", mount]
    if place.path and group:
        words += ["--socket-group", group]
    if place.is_remote:
        words += ["--allow", "ADDRESS-OF-THIS-WEB-SERVER"]
    return words


def _spawn_words(app: str, mount: str, *, quiet: bool) -> list[str]:
    """The command for whoever starts the application: with absolute paths, and no address, for that is passed on."""
    words = [sys.executable, "-m", "penstock", "serve", locate(app, os.getcwd())]
    if mount:
        words += ["--mount", mount]
    if quiet:  # a web server has an access log of its own, and would put ours among its errors
        words.append("--no-access-log")
    return [clean_text("the interpreter", word) for word in words]


def locate(app: str, folder: str) -> str:
    """APP for a process that starts in another folder: a path, where APP is one or names a module in `folder`."""
    where, colon, attribute = app.partition(":")
    if "/" in where or where.endswith((".py", ".fcgi")):
        return os.path.join(folder, where) + colon + attribute
    base = os.path.join(folder, *where.split("."))
    for path in (base + ".py", os.path.join(base, "__init__.py")):
        if os.path.isfile(path):
            return path + colon + attribute
    return app


def _app_file(server: Server, app: str) -> str:
    """The absolute path of the file that APP is in; "" where it is a module of the interpreter's own path."""
    where = locate(app, os.getcwd())
    file = where if where.endswith((".py", ".fcgi")) else where.rpartition(":")[0]
    file = clean_text("APP", file) if os.path.isabs(file) else ""
    if server.needs and not file.endswith(server.needs):
        raise SiteError(f"APP: {server.name} starts a file; write its path, which ends in {' or '.join(server.needs)}")
    return file


def _group_of(user: str) -> str:
    """The name of a user's first group; the user's own name where this machine does not know."""
    try:
        return getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except (KeyError, ValueError):
        return user


# Filters. Each returns Markup, which says that it is fit to be printed.

_match_token: Final = re.compile(r"[A-Za-z0-9_.:/\[\]*~+-]*", re.ASCII).fullmatch


def _token(text: str) -> Markup:
    """A prefix, a name or an address, as `site.py` has checked them: nothing that any syntax knows."""
    if not _match_token(text):
        raise ValueError(f"{text!r} is no token")
    return Markup(text)


def _regex(text: str) -> Markup:
    """A token for a regular expression."""
    return Markup(_token(text).replace(".", r"\."))


def _command(words: list[str]) -> Markup:
    """A command line, as a comment or as a shell's own."""
    line = shlex.join(words)
    return Markup(line if not line.endswith("\\") else line + " ")


def _comment(text: str) -> Markup:
    """Text in a comment; it holds no line ends, and no backslash at the end that would join lines."""
    return Markup(clean_text("comment", text) + ("." if text.endswith("\\") else ""))


def _only_quoted(value: object) -> object:
    if isinstance(value, Markup) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{value!r} would be printed without being quoted")


@functools.cache
def _environment(name: str) -> Environment:
    row = find_server(name)
    environment = Environment(
        loader=PackageLoader("penstock.cli.config"),
        autoescape=True,  # so that what a macro returns is Markup too
        finalize=_only_quoted,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., Markup]] = {
        "token": _token,
        "regex": _regex,
        "command": _command,
        "comment": _comment,
        "size": lambda number: Markup(show_size(number)),
        "q": _printable(row.quote),
        **{name: _printable(quote) for name, quote in row.quotes.items()},
    }
    environment.filters.update(filters)
    return environment


def _printable(quote: Callable[[str], str]) -> Callable[[str], Markup]:
    return lambda text: Markup(quote(text))
