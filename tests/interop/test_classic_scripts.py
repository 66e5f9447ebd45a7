"""This file runs scripts of other people's, byte for byte, where they were written to run: below real web servers.

Nothing but the environment tells them of penstock: PYTHONPATH names the folder of `penstock compat path`.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from os import close, pidfd_open
from pathlib import Path

import pytest

from tests.conftest import leave_out
from tests.interop.apache import MODULES
from tests.interop.apache import start as start_apache
from tests.interop.lighttpd import start as start_lighttpd
from tests.interop.unprivileged import SOURCE, can_import, make_scratch
from tests.processes import PATIENCE, ROOT, Process, Processes

SCRIPTS = ROOT / "tests" / "compat" / "scripts"
SHIMS = SOURCE / "penstock" / "compat" / "path"
FOLDERS = ("project", "flask", "jon")

# The script in each folder, by the path that it answers below.
MOUNTS = {
    "/project": "project/dispatch.fcgi",
    "/flask": "flask/yourapplication.fcgi",
    "/jon": "jon/hello.fcgi",
    "/zip": "jon/hello_gzip.fcgi",
}

# Appended to the modules beside the scripts, which are the customer's to change: the scripts stay as they are.
FAILING = {
    "project/application.py": (
        "\n\nshow = start\n\n\ndef start(req):\n    if 'fail' in req.params:\n"
        "        raise LookupError('lost in the dispatched')\n    return show(req)\n"
    ),
    "flask/yourapplication.py": "\n\n@app.route('/fail')\ndef fail():\n    raise LookupError('lost in Flask')\n",
}


def digests(folder: Path) -> dict[str, str]:
    """What the scripts below a folder are, by their names."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for name in FOLDERS
        for file in sorted((folder / name).glob("*.fcgi"))
    }


class Site:
    """A web server with the scripts below it.

    Attributes:
        process: the web server.
        documents: where the scripts are.
    """

    def __init__(self, process: Process, port: int, documents: Path) -> None:
        self.process = process
        self.documents = documents
        self._port = port

    def ask(self, target: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        """Status, Content-Type and body of the answer; a form is posted when there is a body."""
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)) as connection:
            connection.request("GET" if body is None else "POST", target, body, named)
            response = connection.getresponse()
            return response.status, response.headers["Content-Type"], response.read()

    def programs(self) -> list[int]:
        """The processes that run one of the scripts."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = file.read_bytes()
            except OSError:
                continue  # it has ended while we looked
            if str(self.documents).encode() in command and b".fcgi" in command:
                found.append(int(file.parent.name))
        return found


def place_scripts(folder: Path) -> Path:
    """Copy the scripts and what lies beside them into a folder of web pages."""
    documents = folder / "htdocs"
    documents.mkdir()
    for name in FOLDERS:
        shutil.copytree(SCRIPTS / name, documents / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, addition in FAILING.items():
        file = documents / name
        file.write_text(file.read_text("utf-8") + addition, encoding="utf-8")
    return documents


@pytest.fixture(scope="class")
def lasting_folder() -> Iterator[Path]:
    folder = make_scratch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = make_scratch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def variables(web_python: str) -> dict[str, str]:
    """The environment of the scripts: what is on their first line is looked for in PATH."""
    found = importlib.util.find_spec("flask")
    beside = "" if found is None or found.origin is None else f":{Path(found.origin).parents[1]}"
    return {"PYTHONPATH": f"{SHIMS}{beside}", "PATH": f"{Path(web_python).parent}:/usr/bin:/bin"}


@pytest.fixture(scope="module")
def has_flask(web_python: str, variables: dict[str, str]) -> None:
    if not can_import(web_python, "flask", variables["PYTHONPATH"]):
        leave_out("the Python that the web server's user can run has no Flask, and cannot use that of ours")


def apache_site(processes: Processes, program: str, folder: Path, variables: dict[str, str]) -> Site:
    """The way of shared hosts: an .htaccess sends all below a folder to its script."""
    documents = place_scripts(folder)
    for mount, script in MOUNTS.items():
        below = documents / mount[1:]
        below.mkdir(exist_ok=True)
        target = script.partition("/")[2] if below == (documents / script).parent else f"/{script}"
        (below / ".htaccess").write_text(
            "AddHandler fcgid-script .fcgi\nOptions +ExecCGI\nRewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\n"
            f"RewriteRule ^(.*)$ {target}/$1 [QSA,L]\n"
        )
    environment = "".join(f"FcgidInitialEnv {name} {value}\n" for name, value in variables.items())
    configuration = f"{environment}LogLevel fcgid:info\n<Directory {documents}>\n  AllowOverride All\n</Directory>\n"
    web = start_apache(processes, program, folder, configuration, modules=(*MODULES, "fcgid"))
    return Site(web.process, web.port, documents)


def lighttpd_site(processes: Processes, program: str, folder: Path, variables: dict[str, str]) -> Site:
    """lighttpd starts each script as it starts itself."""
    documents = place_scripts(folder)
    environment = ", ".join(f'"{name}" => "{value}"' for name, value in variables.items())
    entries = ",\n".join(
        f'"{mount}" => (( "bin-path" => "{documents}/{script}", "socket" => "{folder}{mount}.sock",'
        f' "check-local" => "disable", "max-procs" => 1, "bin-environment" => ( {environment} ) ))'
        for mount, script in MOUNTS.items()
    )
    web = start_lighttpd(processes, program, folder, f"fastcgi.server = (\n{entries}\n)")
    return Site(web.process, web.port, documents)


def wait_for_ends(pids: list[int]) -> None:
    """Wait until these processes have ended, whoever started them."""
    with ExitStack() as stack:
        for pid in pids:
            try:
                descriptor = pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(close, descriptor)
            assert select.select([descriptor], [], [], PATIENCE)[0], f"process {pid} goes on"


class Scripts:
    """What the scripts do below any web server.

    Attributes:
        start: starts a site of it.
        stop: the signal for its graceful end.
        ended: what is in its error log for a script that has ended well, at least `counted` times.
    """

    start: Callable[[Processes, str, Path, dict[str, str]], Site]
    stop: int
    ended: str
    counted: int

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, lasting, program, lasting_folder, variables):
        return cls.start(lasting, program, lasting_folder, variables)

    def test_they_are_as_they_were_written(self, site):
        assert digests(site.documents) == digests(SCRIPTS)
        assert len(digests(SCRIPTS)) == len(MOUNTS)

    def test_the_dispatcher_gets_path_query_and_form(self, site):
        status, kind, body = site.ask("/project/some/page?a=1&a=2")
        assert (status, kind) == (200, "text/html")
        assert body == b"<p>/project|/some/page|{'a': ['1', '2']}|{'a': ['1', '2']}"
        status, _, body = site.ask("/project/some/page?a=1", b"b=2")
        assert (status, body) == (200, b"<p>/project|/some/page|{'a': ['1']}|{'a': '1', 'b': '2'}")

    def test_flask_gets_path_query_and_form(self, site, has_flask):
        assert site.ask("/flask/hello/Ada")[::2] == (200, b"Hello, Ada and nobody else!\n")
        assert site.ask("/flask/hello/Ada", b"friend=Charles")[::2] == (200, b"Hello, Ada and Charles!\n")
        # The script takes SCRIPT_NAME away on purpose: it is for a site that has a rewrite rule at its root.
        assert site.ask("/flask/")[::2] == (200, b"index, and a greeting at /hello/Ada\n")
        assert site.ask("/flask/none")[0] == 404

    def test_a_handler_of_jonpy_gets_query_and_form(self, site):
        status, kind, body = site.ask("/jon/?who=Ada")
        assert (status, body) == (200, b"Good evening, Ada!\n")
        assert kind.startswith("text/plain")
        assert site.ask("/jon/", b"who=Charles")[::2] == (200, b"Good evening, Charles!\n")

    def test_its_compressed_variant_is_compressed(self, site):
        status, _, body = site.ask("/zip/?lines=200", Accept_Encoding="gzip")
        assert (status, gzip.decompress(body).count(b"\n")) == (200, 200)
        assert len(body) < 2000

    @pytest.mark.parametrize(
        ("target", "error"),
        [
            ("/project/?fail=1", "LookupError: lost in the dispatched"),
            ("/flask/fail", "LookupError: lost in Flask"),
            ("/zip/?lines=many", "ValueError: invalid literal"),
        ],
    )
    def test_an_error_is_a_page_and_its_traceback_is_in_the_error_log(self, site, request, target, error):
        if target.startswith("/flask"):
            request.getfixturevalue("has_flask")
        status, kind, body = site.ask(target)
        assert (status, kind.partition(";")[0]) == (500, "text/html")
        assert b"lost" not in body
        assert b"literal" not in body
        site.process.wait_for(error)

    def test_a_graceful_stop_of_the_web_server_ends_them(self, processes, program, folder, variables):
        site = self.start(processes, program, folder, variables)
        for mount in ("/project/", "/jon/", "/zip/"):
            assert site.ask(mount)[0] == 200
        running = site.programs()
        assert len(running) >= 3
        site.process.send_signal(self.stop)
        site.process.wait()
        wait_for_ends(running)
        site.process.wait_for(self.ended, count=self.counted)
        assert digests(site.documents) == digests(SCRIPTS)


class TestBelowApache(Scripts):
    start = staticmethod(apache_site)
    stop = signal.SIGWINCH
    ended = r"\.fcgi\(\d+\) exit\(shutting down\), terminated by calling exit\(\), return code: 0"
    counted = 3

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, apache2, mod_fcgid):
        return apache2


class TestBelowLighttpd(Scripts):
    start = staticmethod(lighttpd_site)
    stop = signal.SIGINT
    ended = "INFO stopped"  # what they say themselves, but for the dispatcher, which has no log
    counted = 2

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, lighttpd):
        return lighttpd


class TestInAShell:
    """Somebody tries a script by hand: it shows how it answers GET /."""

    @pytest.mark.parametrize(
        ("script", "shown"),
        [
            ("project/dispatch.fcgi", "<p>|/|{}|{}"),
            ("flask/yourapplication.fcgi", "index, and a greeting at /hello/Ada"),
            ("jon/hello.fcgi", "Good evening, everybody!"),
            ("jon/hello_gzip.fcgi", "200 OK"),
        ],
    )
    def test_it_answers(self, script, shown, folder, processes, variables, request):
        if "flask" in script:
            request.getfixturevalue("has_flask")
        documents = place_scripts(folder)
        process = processes.start(documents / script, env=variables)
        assert process.wait() == 0, process.output()
        assert shown in "\n".join(process.stdout)
        assert digests(documents) == digests(SCRIPTS)
