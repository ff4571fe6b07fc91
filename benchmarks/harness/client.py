"""A contestant as the harness sees it: a process that is asked, waited for, and stopped while others have a turn."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

SERVER = Path(__file__).with_name("server.py")
CAN_PAUSE = sys.platform != "win32"


def clean_environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of every contestant: no settings of the caller's that slow a library down, and memory
    that is returned to the process, not to the system, so that no call pays for fresh pages."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "MKL_", "KMP_", "PYTHON"))}
    return {
        **kept,
        "OMP_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**32 - 1),
        "PYTHONDONTWRITEBYTECODE": "1",
        **extra,
    }


class Contestant:
    """One plug-in in one interpreter. Started at the first request, and again after it died."""

    def __init__(
        self,
        plugin: str,
        python: str,
        threads: int,
        *,
        environment: Mapping[str, str] | None = None,
        errors: IO[str] | int = subprocess.DEVNULL,
    ) -> None:
        self.plugin = plugin
        self.command = [python, str(SERVER), plugin, str(threads)]
        self.environment = clean_environment(threads, environment or {})
        self.errors = errors
        self.process: subprocess.Popen[str] | None = None
        self.replies: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread()

    def start(self) -> dict[str, Any]:
        """Start the process and its library; {"version": ...}, or why not."""
        self.stop()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            encoding="utf-8",
            env=self.environment,
        )
        self.replies = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(self.process, self.replies), daemon=True)
        self.reader.start()
        return self._exchange({"do": "start"}, timeout=120)

    def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The reply to a request; {"failed": ...} if none comes in time or the process dies."""
        if self.process is None:
            started = self.start()
            if "version" not in started:
                return started
        return self._exchange(request, timeout=timeout)

    def burst(self, calls: int, *, sweep: int = 0, timeout: float = 120) -> list[float]:
        """The seconds of each of some calls; empty if the process fails."""
        reply = self.ask({"do": "burst", "calls": calls, "sweep": sweep}, timeout=timeout)
        seconds: list[float] = reply.get("seconds", [])
        return seconds

    def stop(self) -> None:
        """End the process."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._signal("SIGCONT")
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.reader.join(timeout=5)
        if not self.reader.is_alive():  # else a child of the library's holds the pipe, and close() would wait for it
            self.process.stdout.close()
        self.process = None

    def _exchange(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.replies.get(timeout=timeout)
        except queue.Empty:
            self.stop()
            return {"failed": f"no answer to {request['do']!r} within {timeout:.0f} s"}
        except OSError:
            line = ""
        if not line:
            status = self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None
            return {"failed": f"the process ended with status {status} at {request['do']!r}"}
        self._signal("SIGSTOP")  # threads that spin after a call must not take a core from the next contestant
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _signal(self, name: str) -> None:
        if CAN_PAUSE and self.process is not None and self.process.poll() is None:
            self.process.send_signal(getattr(signal, name))

    @staticmethod
    def _read(process: subprocess.Popen[str], replies: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            replies.put(line)
        replies.put("")
