"""This file holds the cases of what arrives at the application: bodies, paths, headers, and who asks."""

from __future__ import annotations

import tomllib
from contextlib import closing

from penstock.gateways.environ import merge, normalise
from tests.interop.matrix_case import BYTES, Cases, answered, echoed
from tests.interop.matrix_site import ask, upload
from tests.processes import ROOT

PATH = "/a%20b/c%2Fd//e/%E4%B8%AD"
BASIC = "Basic YWxpY2U6c2VjcmV0"

# The recordings of what `penstock config` prints, by SERVER and mount.
RECORDED = {
    (vector["config"], vector["expect"]["SCRIPT_NAME"]): vector
    for vector in tomllib.loads((ROOT / "tests" / "vectors" / "environ.toml").read_text(encoding="utf-8"))["vector"]
    if "config" in vector
}
# What differs from machine to machine, or from time to time: only the names are compared.
UNSTABLE = frozenset(
    (
        *("CONTEXT_DOCUMENT_ROOT", "DOCUMENT_ROOT", "PATH", "PATH_TRANSLATED", "SCRIPT_FILENAME"),
        *("REQUEST_START", "SERVER_SIGNATURE", "SERVER_SOFTWARE"),
    )
)

case = Cases()


@case("GET", status=200, reason="OK", type="text/plain", length="13", body="hello, world\n", added=[])
def get(site):
    answer = site.ask("GET", site.url("hello"))
    facts = {"reason": answer.reason, "type": answer.header("Content-Type"), "length": answer.header("Content-Length")}
    added = sorted({name.lower() for name, _ in answer.headers} & {"status", "accept-ranges"})
    return {**answered(answer), **facts, "added": added}


@case("HEAD", status=200, body="", length="13", afterwards="hello, world\n")
def head(site):
    with closing(site.connect()) as connection:
        answer = ask(connection, "HEAD", site.url("hello"))
        after = ask(connection, "GET", site.url("hello"))
    return {**answered(answer), "length": answer.header("Content-Length"), "afterwards": after.body.decode("latin-1")}


@case("POST 10 B", status=200, received=10, whole=True)
def post_little(site):
    return echoed(site.ask("POST", site.url("echo"), BYTES[:10]), BYTES[:10])


@case("POST 200 KB", status=200, received=200_000, whole=True)
def post_much(site):
    return echoed(site.ask("POST", site.url("echo"), BYTES[:200_000]), BYTES[:200_000])


@case("POST chunked 5 B", status=200, received=5, whole=True)
def post_chunked(site):
    return echoed(upload(site, site.url("echo"), b"abcde", chunk=2), b"abcde")


@case("POST chunked 100 KB", status=200, received=100_000, whole=True)
def post_chunked_much(site):
    return echoed(upload(site, site.url("echo"), BYTES[:100_000], chunk=1000), BYTES[:100_000])


@case("chunked: CONTENT_LENGTH", interface="wsgi", content_length="5")
def chunked_length(site):
    return {"content_length": upload(site, site.url("echo"), b"abcde", chunk=2).sent().get("content_length")}


@case("query string", queries=["x=1&y=%20&z=%2F+a", "a=b?c=/d", "", ""])
def query(site):
    targets = ("/show?x=1&y=%20&z=%2F+a", "/show?a=b?c=/d", "/show?", "/show")
    return {"queries": [site.show(site.mount + target).get("query") for target in targets]}


@case("path", mount="{mount}", path="/a b/c/d//e/\u00e4\u00b8\u00ad", raw_path="{mount}" + PATH)
def path(site):
    seen = site.show(site.mount + PATH)
    return {name: seen.get(name) for name in ("mount", "path", "raw_path")}


@case("path: root of the application", status=200, mount="{mount}", path="/")
def path_root(site):
    answer = site.ask("GET", site.mount + "/")
    return {"status": answer.status, **{name: answer.sent().get(name) for name in ("mount", "path")}}


@case("path: beside the mount", theirs=False)
def path_beside(site):
    seen = site.show("/application/x") if site.mount else {}
    return {"theirs": seen.get("mount") == site.mount}


@case("client and scheme", address="127.0.0.1", port=True, scheme="http", host=True)
def client(site):
    with closing(site.connect()) as connection:
        seen = ask(connection, "GET", site.url("x")).sent()
        assert connection.sock is not None
        ours = connection.sock.getsockname()[1]
    address, port = seen.get("client") or (None, None)
    host = seen.get("headers", {}).get("host") == f"127.0.0.1:{site.port}"
    return {"address": address, "port": port == ours, "scheme": seen.get("scheme"), "host": host}


@case("parameters as recorded", unlike={})
def recorded(site):
    """What vectors/environ.toml has of this configuration, and what the application sees of the same request now."""
    vector = RECORDED[site.config, site.mount]
    sent = (("X-Dup", "1"), ("Cookie", "a=1"), ("X-Dup", "2"), ("Cookie", "b=2"), ("Proxy", "evil"))
    with closing(site.connect()) as connection:
        seen = ask(connection, "GET", vector["target"], None, sent).sent()
        assert connection.sock is not None
        ours = connection.sock.getsockname()[1]
    expect = vector["expect"]
    words = {"mount": "SCRIPT_NAME", "path": "PATH_INFO", "query": "QUERY_STRING"}
    pairs = {word: (seen.get(word), expect[name]) for word, name in words.items()}
    pairs["scheme"] = (seen.get("scheme"), vector["scheme"])
    pairs["client"] = (seen.get("client"), [vector["client"], ours])
    if site.variant.interface == "wsgi":
        params = merge([(name, value) for name, value in vector["params"]])
        normalise(params, vector.get("mount"))
        added = ("wsgi.", "FCGI_ROLE")  # what penstock adds
        now = {name: value for name, value in seen.get("environ", {}).items() if not name.startswith(added)}
        for name in sorted(params.keys() | now.keys()):
            value = now.get(name, "").replace(str(site.port), "8080").replace(str(ours), "40000")
            stable = name not in UNSTABLE and name in params and name in now
            pairs[name] = (value, params[name]) if stable else (name in now, name in params)
    return {"unlike": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}}


@case("request headers repeated", twice="one, two", cookie="a=1; b=2", proxy=None)
def request_headers(site):
    sent = (("X-Twice", "one"), ("Cookie", "a=1"), ("Proxy", "evil"), ("X-Twice", "two"), ("Cookie", "b=2"))
    seen = site.show(site.url("x"), sent).get("headers", {})
    return {"twice": seen.get("x-twice"), "cookie": seen.get("cookie"), "proxy": seen.get("proxy")}


@case("request headers of 3.5 KB", long=3000, many=10)
def request_headers_long(site):
    sent = (("X-Long", "l" * 3000), *((f"X-Many-{number}", "m" * 50) for number in range(10)))
    seen = site.show(site.url("x"), sent).get("headers", {})
    return {"long": len(seen.get("x-long", "")), "many": sum(name.startswith("x-many-") for name in seen)}


@case("Authorization", authorization=BASIC)
def authorization(site):
    seen = site.show(site.url("x"), (("Authorization", BASIC),)).get("headers", {})
    return {"authorization": seen.get("authorization")}
