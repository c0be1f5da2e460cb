"""The example that the README shows works as printed."""

import os
import subprocess
import sys

from conftest import CLIENT, SAMPLES


def test_the_example_prints_a_text_with_its_sources(mesh):
    file = SAMPLES / "products" / "graded-alerts.md"
    command = [sys.executable, CLIENT / "example.py", file, "Alerts that drivers do not ignore"]
    env = {**os.environ, "COPYDESK_ADDRESS": mesh.endpoints["gateway"], "COPYDESK_DATA": str(mesh.data)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text, sources = [], []
    for line in done.stdout.splitlines():
        (sources if line.startswith("  ") and ", bytes " in line else text).append(line)
    assert "".join(text).strip() and sources, done.stdout
    document = file.read_bytes().decode()
    for line in sources:
        assert line.partition(": ")[2] in document
    assert len((CLIENT / "example.py").read_text().splitlines()) <= 40
