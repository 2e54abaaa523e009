# SPDX-License-Identifier: Apache-2.0
"""The servers of the bench, one row each.

A row says which packages the server needs (Debian's, with the version they begin with), how it is built (into the
cache) and how it starts. Every server gets LISTEN_PORT, BACKENDS (three ports), POOL (connections to a backend; 0:
ample) and SEED in its environment; what it must do is in README.md.
"""
import dataclasses
import os
import pathlib
import subprocess
from typing import Callable, Optional

from harness.php import Php

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE / "servers"
PORT = "LISTEN_PORT"  # stands in commands for its value
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's packages
JETTY = ":".join(f"/usr/share/java/{jar}.jar" for jar in (
    "jetty9-server", "jetty9-servlet", "jetty9-http", "jetty9-io", "jetty9-util", "jetty9-security", "servlet-api"))


class Unavailable(Exception):
    """The server cannot be had here; the message says why."""


@dataclasses.dataclass
class Server:
    name: str
    packages: tuple
    argv: Callable              # build folder -> command
    env: dict = dataclasses.field(default_factory=dict)
    build: Optional[tuple] = None   # (product, command) with {out}: the build folder
    pools: tuple = (0, 4)       # connections to a backend: ample, tiny
    thread_class: bool = False  # thread per request: routes with a hand-off are scored apart
    start: Optional[Callable] = None    # (env, server, settings, build folder) -> pids, if it is more than one command


def run_build(server, out):
    if server.build is None:
        return
    product, command = server.build
    sources = [p.stat().st_mtime for p in SOURCES.rglob("*") if p.is_file()]
    if (out / product).exists() and (out / product).stat().st_mtime > max(sources):
        return
    done = subprocess.run(["sh", "-ec", command.format(out=out, src=SOURCES)], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"does not build: {(done.stdout + done.stderr).strip()[-400:]}")


def install(server):
    setup = HERE.parent / "setup" / "install_packages.sh"
    done = subprocess.run([str(setup), *server.packages], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"its packages cannot be installed: {done.stderr.strip()[-300:]}")


def start_server(env, server, settings, out):
    """Starts it; returns the process ids to observe. `env` is the e2e harness's."""
    if server.start:
        return server.start(env, server, settings, out)
    argv = [str(word).replace(PORT, settings["LISTEN_PORT"]) for word in server.argv(out)]
    process = env.start(server.name, argv, port=int(settings["LISTEN_PORT"]), wait=30,
                        env={**settings, **server.env})
    return [process.pid]


def _java(main, extra=""):
    classpath = "{out}" + (f":{extra}" if extra else "")
    return (f"{main}.class", f"javac -cp {classpath} -d {{out}} {{src}}/Routes.java {{src}}/{main}.java")


def _java_argv(main, extra=""):
    def argv(out):
        return ["java", "-Xms128m", "-Xmx256m", "-Dsun.net.httpserver.nodelay=true", "-Dhttp.maxConnections=256", "-cp",
                f"{out}:{extra}", main]
    return argv


def _node(out):
    return ["node", SOURCES / "server.js"]


def _start_fpm(env, server, settings, out):
    php = Php(env, {**settings, **server.env}, (SOURCES / "fpm.php").read_text(), port=int(settings["LISTEN_PORT"]),
              children=32, options=("-d", "extension=curl"))
    return [php.nginx.pid, php.fpm.pid]


NODE = ("nodejs=18",)
JAVA = ("openjdk-17-jdk-headless=17",)
GO = ("go_server", "cd {src}/go && GO111MODULE=off GOFLAGS= go build -o {out}/go_server main.go")
# Against Debian's crates, without any network.
RUST = ("rust_server", "mkdir -p {out}/rust && cp -r {src}/rust/. {out}/rust && cd {out}/rust && mkdir -p .cargo && "
        "printf '[source.crates-io]\\nreplace-with = \"debian\"\\n[source.debian]\\ndirectory = "
        "\"/usr/share/cargo/registry\"\\n' > .cargo/config.toml && RUSTC=/usr/bin/rustc /usr/bin/cargo build --release "
        "--offline -q && cp target/release/rust_server {out}/rust_server")

SERVERS = [
    Server("node", NODE, _node),
    Server("asyncio", ("python3-aiohttp=3.8",), lambda out: [PYTHON, SOURCES / "asyncio_server.py"]),
    Server("threads", ("python3-urllib3=1.26",), lambda out: [PYTHON, SOURCES / "threads_server.py"], pools=(0, 8),
           thread_class=True),
    Server("go", ("golang-go=2:1.19",), lambda out: [out / "go_server"], build=GO),
    Server("java", JAVA, _java_argv("JdkServer"), env={"CLIENT": "async"}, build=_java("JdkServer"), pools=(0,)),
    Server("javaurl", JAVA, _java_argv("JdkServer"), build=_java("JdkServer"), thread_class=True),
    Server("cluster", NODE, _node, env={"WORKERS": "2"}),
    Server("gevent", ("gunicorn=20.1", "python3-gevent=22.10", "python3-urllib3=1.26"),
           lambda out: [PYTHON, "-m", "gunicorn", "-k", "gevent", "-w", "1", "--worker-connections", "1000",
                        "--keep-alive", "300", "--chdir", SOURCES, "-b", f"127.0.0.1:{PORT}",
                        "gunicorn_app:application"]),
    Server("puma", ("puma=5.6",),
           lambda out: ["puma", "-q", "-t", "32:32", "-b", f"tcp://127.0.0.1:{PORT}", SOURCES / "puma.ru"],
           thread_class=True),
    Server("jetty", (*JAVA, "libjetty9-java=9.4"), _java_argv("JettyServer", JETTY), build=_java("JettyServer", JETTY),
           thread_class=True),
    Server("hyper", ("cargo=0.66", "librust-hyper-dev=0.14", "librust-tokio-dev=1.24"),
           lambda out: [out / "rust_server"], build=RUST),
    Server("fpm", ("nginx-light=1.22", "php8.2-fpm=8.2", "php8.2-curl=8.2"), lambda out: [], start=_start_fpm,
           pools=(0,)),
]

# What the bench would have if Debian had it.
NOT_TO_BE_HAD = {"dotnet": "Debian 12 has no .NET packages"}


def by_name(name):
    return next(server for server in SERVERS if server.name == name)


def build_folder(cache):
    out = cache / "build"
    out.mkdir(parents=True, exist_ok=True)
    return out


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "spantap" / "accuracy"
