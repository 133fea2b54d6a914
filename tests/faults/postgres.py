"""A PostgreSQL of one's own, with a password, that can be restarted: on a free port, in a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from fault_rig import free_port, wait_until

PASSWORD = "pg-s3cret"


def binaries() -> Path | None:
    """Return where PostgreSQL's programs lie; None: it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Postgres:
    """A server with an empty database for each name that is asked for."""

    def __init__(self, place: Path) -> None:
        self._port = free_port()
        bin_ = binaries()
        assert bin_ is not None
        self._bin, self._data, self._place = bin_, place / "pg", place
        # It does not run as root; the user comes with Debian's package.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] * (os.geteuid() == 0)
        self._data.mkdir()
        if self._as:
            shutil.chown(self._data, "postgres", "postgres")
            for parent in (place, *place.parents):
                if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        secret = place / "pg-password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", str(self._data), "-U", "me", "-A", "scram-sha-256", f"--pwfile={secret}")
        self._process: subprocess.Popen[bytes] | None = None

    def uri(self, database: str, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://me:{PASSWORD}@127.0.0.1:{self._port}/{database}"

    def create(self, database: str) -> None:
        words = ["-h", "127.0.0.1", "-p", str(self._port), "-U", "me", database]
        subprocess.run(
            [str(self._bin / "createdb"), *words], env={**os.environ, "PGPASSWORD": PASSWORD}, check=True
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["-D", str(self._data), "-p", str(self._port), "-h", "127.0.0.1", "-k", str(self._data)]
        command = [*self._as, str(self._bin / "postgres"), *words]
        log = (self._place / "pg.log").open("ab")
        self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True)
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL answers")

    def stop(self) -> None:
        """Stop it at once, as an administrator's restart does: open connections are cut."""
        if self._process is not None:
            self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop")
            self._process.wait(30)
            self._process = None

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._bin / program), *words]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
