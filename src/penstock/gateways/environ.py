"""This file makes CGI variables that can be trusted out of what a web server sends; every server's quirk is a row here.

All values are native strings (PEP 3333): one character for each byte, latin-1. Paths are compared as they stand and cut
only where one string is known to be a part of the other: nothing is case-folded, no length measured on one string cuts
another, and no file is looked for (that is how CVE-2019-11043 and its likes came about).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from penstock.gateways.urlpath import clean, lies_under, path_of_url, readings, shared_tail

Params = dict[str, str]


class BadRequest(Exception):
    """A request that is answered with an error page of this `status` code, without the application being asked.

    Its `reason` says what is wrong and is fit for a log line (no control characters).
    """

    status: ClassVar[int] = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MissingParams(BadRequest):
    """The web server's configuration passes too little on; its administrator can mend that, the client cannot."""

    status: ClassVar[int] = 500


# A URL that ends in one of these names a program file, not a mount point.
_PROGRAM_SUFFIXES: Final = (".fcgi", ".py", ".cgi", ".wsgi", ".php")


def _asked_paths(params: Params) -> list[str]:
    """The path that the client asked for, cleaned; each reading of it that a server may have used, likeliest first.

    Raises:
        BadRequest: the path holds an encoded NUL.
    """
    raw = params.get("REQUEST_URI", "").partition("?")[0]
    if not raw.startswith("/"):  # the absolute form of a request target; "*" has no path
        raw = path_of_url(raw)
    # Apache's REDIRECT_URL is what the URL was before it was rewritten; it comes decoded.
    paths = readings(raw) if raw else [params.get("REDIRECT_URL", "")]
    if any("\0" in path for path in paths):
        raise BadRequest("the path in REQUEST_URI holds a NUL")
    return [clean(path) for path in paths if path.startswith("/")]


# The repairs: each looks for its own symptom and leaves everything else alone


def _mount_from_proxy_target(params: Params) -> None:
    script = params.get("SCRIPT_NAME")
    filename = params.get("SCRIPT_FILENAME", "")
    if not script or params.get("PATH_INFO") or not filename.startswith("proxy:"):
        return
    targets = readings(path_of_url(filename).partition("?")[0])
    root = params.get("DOCUMENT_ROOT", "").rstrip("/")
    if root and targets[0].endswith(root + script):
        return  # SetHandler: the URL names a program below the document root, and nothing comes after it
    cuts = [shared_tail(script, target) for target in targets]
    cut = min((cut for cut in cuts if cut >= 0), default=-1)
    if cut >= 0:
        params["SCRIPT_NAME"], params["PATH_INFO"] = script[:cut], script[cut:]


def _path_from_document_uri(params: Params) -> None:
    script = params.get("SCRIPT_NAME")
    if script and "PATH_INFO" not in params and params.get("DOCUMENT_URI") == script:
        params["SCRIPT_NAME"], params["PATH_INFO"] = "", script


def _mount_from_rewritten_url(params: Params) -> None:
    script = params.get("SCRIPT_NAME", "")
    if not script.endswith(_PROGRAM_SUFFIXES) or not script.startswith("/"):
        return
    path_info = params.get("PATH_INFO", "")
    directory = script[: script.rindex("/")]
    for path in _asked_paths(params):
        if lies_under(path, script):
            return
        if path_info:
            if path_info.startswith("/") and path.endswith(path_info):
                params["SCRIPT_NAME"] = path.removesuffix(path_info)
                return
        elif path.startswith(directory + "/"):
            params["SCRIPT_NAME"], params["PATH_INFO"] = directory, path.removeprefix(directory)
            return


def _path_from_request_uri(params: Params) -> None:
    if not params.get("SCRIPT_NAME") and "PATH_INFO" not in params:
        asked = _asked_paths(params)
        params["SCRIPT_NAME"], params["PATH_INFO"] = "", asked[0] if asked else ""


def _path_of_the_root(params: Params) -> None:
    if params.get("SCRIPT_NAME") == "/" and not params.get("PATH_INFO"):
        params["SCRIPT_NAME"], params["PATH_INFO"] = "", "/"


class Quirk(NamedTuple):
    """One habit of web servers that an application must not have to know; what is done about it is one of the last two.

    Repairs put SCRIPT_NAME and PATH_INFO right, in place. `normalise` asks them only when PATH_INFO is absent or empty,
    SCRIPT_NAME is absent, or SCRIPT_NAME ends like a program file.
    """

    seen: str
    what: str
    drop: str = ""
    repair: Callable[[Params], None] | None = None


# THE TABLE. The repairs run in this order, each on what the one before it left.
QUIRKS: Final[Sequence[Quirk]] = (
    Quirk("nginx, Caddy 2.6, h2o", "a client's header that HTTP libraries obey (httpoxy)", drop="HTTP_PROXY"),
    Quirk("nginx, lighttpd, Caddy", "counts a body that auth_request leaves out", drop="HTTP_CONTENT_LENGTH"),
    Quirk("nginx, lighttpd, Caddy", "sent beside CONTENT_TYPE, which alone is CGI's", drop="HTTP_CONTENT_TYPE"),
    Quirk("nginx, Apache mod_proxy_fcgi", "the body is chunked no longer", drop="HTTP_TRANSFER_ENCODING"),
    Quirk(
        "Apache mod_proxy_fcgi: ProxyPass, ProxyPassMatch, balancer",
        "SCRIPT_NAME is the whole path, no PATH_INFO; SCRIPT_FILENAME=proxy:fcgi://name/rest has the rest, encoded",
        repair=_mount_from_proxy_target,
    ),
    Quirk(
        "nginx with its stock fastcgi_params",
        "SCRIPT_NAME and DOCUMENT_URI are the whole path, no PATH_INFO; taken for an application at the root",
        repair=_path_from_document_uri,
    ),
    Quirk(
        "Apache .htaccess (RewriteRule, DirectoryIndex), lighttpd url.rewrite, Caddy php_fastcgi",
        "SCRIPT_NAME is the program's file, which the URL does not have; the mount is the URL less its PATH_INFO, or"
        " the program's directory where PATH_INFO was lost too",
        repair=_mount_from_rewritten_url,
    ),
    Quirk(
        "lighttpd and mod_fcgid authorizers, an nginx location with SCRIPT_NAME set to nothing and no PATH_INFO",
        "neither is there, as the specification has it for authorizers; REQUEST_URI has the path",
        repair=_path_from_request_uri,
    ),
    Quirk(
        "HAProxy without path-info, Apache SetHandler in a <Location>",
        "the root itself comes as SCRIPT_NAME=/ and no PATH_INFO; PEP 3333 wants it the other way round",
        repair=_path_of_the_root,
    ),
)

_DROPPED: Final = tuple(quirk.drop for quirk in QUIRKS if quirk.drop)
_REPAIRS: Final = tuple(quirk.repair for quirk in QUIRKS if quirk.repair is not None)

# Repeats of these are no repeated header lines (a client's second Host is an error in HTTP): one line of the web
# server's configuration overrides another, such as `fastcgi_param HTTP_HOST $http_host;` after Debian's include.
_OVERRIDDEN: Final = frozenset({"HTTP_HOST"})


def merge(pairs: Sequence[tuple[str, str]]) -> Params:
    """Make one dictionary of the pairs of a request; else as `merge_columns`."""
    return merge_columns([name for name, _ in pairs], [value for _, value in pairs])


def merge_columns(names: list[str], values: list[str]) -> Params:
    """Make one dictionary of the parameters of a request, in the order of their first appearance.

    Of repeated names the last one wins, for nginx's recipes override a parameter by sending it again. A repeated HTTP_*
    is a header that the client sent in several lines; they are joined with ", " (RFC 9110 5.3), HTTP_COOKIE with "; ".
    Values without a name are dropped.

    Args:
        names, values: two lists of one length, as they were sent.

    Raises:
        BadRequest: a name or value holds a NUL.
    """
    if "\0" in "".join(names + values):
        raise BadRequest("a parameter's name or value holds a NUL")
    params = dict(zip(names, values, strict=True))
    repeats = len(names) - len(params)
    # nginx's recipe for the root repeats SCRIPT_NAME in every request: to count is cheaper than to look closely.
    if repeats and repeats != names.count("SCRIPT_NAME") - 1:
        _join_repeated_headers(names, values, params)
    params.pop("", None)
    return params


def _join_repeated_headers(names: list[str], values: list[str], params: Params) -> None:
    lines: dict[str, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        if name.startswith("HTTP_") and name not in _OVERRIDDEN:
            lines.setdefault(name, []).append(value)
    for name, found in lines.items():
        if len(found) > 1:
            params[name] = ("; " if name == "HTTP_COOKIE" else ", ").join([value for value in found if value])


def mount_point(text: str) -> str:
    """Make a mount, as somebody typed it, into what `normalise` takes: "/app/" is "/app", "/" is "".

    Raises:
        ValueError: it is not a path, or holds something that a cleaned URL never has.
    """
    path = text.encode("utf-8", "surrogateescape").decode("latin-1").rstrip("/")
    if path and (not path.startswith("/") or clean(path) != path or "\0" in path):
        raise ValueError(f"a mount is a path such as /app, without . or .. or //; {text!a} is not")
    return path


def normalise(params: Params, mount: str | None = None) -> None:
    """Repair and complete the CGI variables of one request, in place; doing it twice changes nothing more.

    Args:
        params: the parameters, merged.
        mount: the URL prefix under which the application lives, from `mount_point`; "" for the root, None when nobody
            has said. A path that lies under it is split there; another one is split as if there were no mount.

    Raises:
        BadRequest: the path had to be taken from REQUEST_URI and holds a NUL.
    """
    for name in _DROPPED:
        if name in params:
            del params[name]
    script = params.get("SCRIPT_NAME")
    path = params.get("PATH_INFO")
    if not path or script is None or script.endswith(_PROGRAM_SUFFIXES):
        for repair in _REPAIRS:
            repair(params)
        params.setdefault("SCRIPT_NAME", "")
        params.setdefault("PATH_INFO", "")
        if mount is not None:
            _split_at_mount(params, mount, f"{script or ''}{path or ''}")
    elif mount is not None and script != mount:
        _split_at_mount(params, mount, script + path)
    if "QUERY_STRING" not in params:  # HAProxy, when the URL has none
        params["QUERY_STRING"] = ""
    name = params.get("SERVER_NAME", "")
    if not name:  # nginx without server_name sends ""
        params["SERVER_NAME"] = params.get("SERVER_ADDR") or "localhost"
    elif ":" in name and name[-1] != "]" and name == params.get("HTTP_HOST"):  # HAProxy sends Host, with its port
        params["SERVER_NAME"] = name.rpartition(":")[0]
    if not params.get("SERVER_PORT"):
        params["SERVER_PORT"] = "443" if scheme(params) == "https" else "80"
    if "SERVER_PROTOCOL" not in params:
        params["SERVER_PROTOCOL"] = "HTTP/1.0"


def _split_at_mount(params: Params, mount: str, sent: str) -> None:
    full = params["SCRIPT_NAME"] + params["PATH_INFO"]
    for path in (full, sent):  # the client's URL, then the one that the server rewrote it to
        if lies_under(path, mount):
            params["SCRIPT_NAME"], params["PATH_INFO"] = mount, path.removeprefix(mount)
            return
    if clean(mount + full) in _asked_paths(params):  # Caddy's handle_path has cut the mount off
        params["SCRIPT_NAME"], params["PATH_INFO"] = mount, full


def require_method(params: Params) -> str:
    """Return REQUEST_METHOD, which every Responder request has (RFC 3875 4.1.12).

    Raises:
        MissingParams: there is none, as behind an nginx location without `include fastcgi_params`.
    """
    method = params.get("REQUEST_METHOD")
    if not method:
        raise MissingParams("no REQUEST_METHOD is sent; with nginx, add `include fastcgi_params;` to the location")
    return method


def scheme(params: Params) -> str:
    """Return "https" or "http": HTTPS is on, 1 or true, or REQUEST_SCHEME says so."""
    https = params.get("HTTPS")
    if https is not None and https.lower() in ("on", "1", "true"):
        return "https"
    return "https" if params.get("REQUEST_SCHEME") == "https" else "http"


def content_length(params: Params) -> int | None:
    """Return the length of the request body in bytes; None when only the end of the input tells it.

    Absent (mod_proxy_fcgi, h2o), empty (nginx) and "-1" (Caddy) all mean a body of unknown length, or none.

    Raises:
        BadRequest: it is anything else than 1 to 19 ASCII digits (RFC 9110 8.6; no sign, no space, no list).
    """
    text = params.get("CONTENT_LENGTH")
    if not text or text == "-1":
        return None
    if len(text) > 19 or not (text.isascii() and text.isdigit()):
        raise BadRequest(f"CONTENT_LENGTH is {text[:40]!a}, not a number of 1 to 19 digits")
    return int(text)
