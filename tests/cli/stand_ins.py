"""`terrarium up` with real PostgreSQL and Redis, and stand-ins for the services that load torch and FastAPI.

python tests/cli/stand_ins.py DATA_DIR PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

from terrarium.cli.supervisor import Service
from terrarium.cli.up import Place, Pulse, answers, plays, store_services, up
from terrarium.store.embedded import Child, socket_dir

PLAYER = """
import http.server, pathlib, socketserver
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
pathlib.Path({path!r}).unlink(missing_ok=True)
socketserver.UnixStreamServer({path!r}, Health).serve_forever()
"""
WORKER = """
import pathlib, signal, sys, time
def drain(*_):
    print("saved", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, drain)
while True:
    time.sleep(0.1)
    pathlib.Path({path!r}).touch()
"""


def stand_ins(place: Place, worker: bool) -> tuple[list[Service], str]:
    stores, urls = store_services(place)
    player = socket_dir(place.data_dir) / "player.sock"
    page = place.data_dir / "page" / "health"
    page.mkdir(parents=True, exist_ok=True)
    (page / "live").write_text("ok")
    pulse = Pulse(socket_dir(place.data_dir) / "worker.pulse")

    def python(name: str, *args: str) -> Child:
        return Child(name, [sys.executable, *args], place.logs / f"{name}.log", keep_fds=place.keep_fds)

    http = ["-m", "http.server", str(place.port), "--bind", place.host, "--directory", str(page.parent)]
    services = [
        Service(python("player", "-c", PLAYER.format(path=str(player))), probe=lambda: plays(f"unix://{player}")),
        *stores,
        Service(python("gateway", *http), ["schema"], probe=lambda: answers(place.reach, place.port)),
        Service(python("worker", "-c", WORKER.format(path=str(pulse.file))), ["schema", "redis"], pulse, stop_turn=1),
    ]
    return services, urls["DATABASE_URL"]


if __name__ == "__main__":
    up(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), make_services=stand_ins)
