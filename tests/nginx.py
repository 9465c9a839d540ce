"""A real nginx in front of a collector, from the text of a `server`."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = shutil.which("nginx") or "/usr/sbin/nginx"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(directory: Path, server: str) -> Iterator[Path]:
    """Serve with files in `directory`; yield the log of what is not a `server`'s own."""
    folders = "".join(
        f"{name}_temp_path {directory}/{name}; "
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    settings, log = directory / "nginx.conf", directory / "log"
    settings.write_text(
        f"pid {directory}/pid; error_log {log};\nevents {{}}\nhttp {{ {folders} {server} }}\n"
    )
    start = [COMMAND, "-p", str(directory), "-c", str(settings)]
    # It returns once it listens.
    subprocess.run(start, check=True, timeout=30)
    try:
        yield log
    finally:
        subprocess.run([*start, "-s", "stop"], check=True, timeout=30)
