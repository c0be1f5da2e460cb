"""One running `copydesk up`, as a user would start it: the real binary, a data folder of its own, free ports."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import grpc

START_LIMIT = 60.0
STOP_LIMIT = 60.0
CALL_LIMIT = 30.0


class Mesh:
    """Starts on entry, waits until the mesh says where it listens, ends it by its own process id on exit."""

    def __init__(self, data: Path, **settings: str):
        self.data = data
        self.log = data.with_suffix(".log")
        # Only what is named here: a key or a setting of the person who runs the tests must not reach the mesh.
        self.env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(data),
            "COPYDESK__LLM_ROUTER__DISCOVERY": "false",
            **{f"COPYDESK__{name}": value for name, value in settings.items()},
        }

    def __enter__(self) -> "Mesh":
        binary = os.environ["COPYDESK_BIN"]
        self.endpoints_file().unlink(missing_ok=True)
        listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        with open(self.log, "ab") as log:
            command = [binary, "up", "--data", str(self.data), *listen]
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.endpoints = self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.key = (self.data / "dev-key").read_text().strip()
        self.channel = grpc.insecure_channel(self.endpoints["gateway"])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def endpoints_file(self) -> Path:
        return self.data / "endpoints.json"

    def wait_until_ready(self) -> dict[str, str]:
        """The wait is on the process, so that one that dies at start is noticed at once."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            try:
                return json.loads(self.endpoints_file().read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                pass
            try:
                code = self.process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"copydesk ended with {code} at start:\n{self.tail()}")
        raise AssertionError(f"copydesk was not ready in {START_LIMIT} s:\n{self.tail()}")

    def stop(self) -> int:
        """Asks it to end as an operator would and returns its exit code."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"copydesk did not end {STOP_LIMIT} s after SIGTERM:\n{self.tail()}") from None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    @property
    def auth(self) -> dict[str, object]:
        """What an ordinary call carries: the key and a deadline, so that no test can hang."""
        return with_key(self.key)


def with_key(key: str) -> dict[str, object]:
    return {"metadata": [("authorization", f"Bearer {key}")], "timeout": CALL_LIMIT}
