"""Scripts that are run in processes of their own, within a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 150


@pytest.fixture(scope="session")
def run_script():
    """Function that runs a script to its end; whatever it started ends with it."""

    def run(name, *arguments):
        process = subprocess.Popen(
            [sys.executable, SCRIPTS / name, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        try:
            output, errors = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode:
            pytest.fail(f"{name} ended with {process.returncode}:\n{errors[-3000:]}")
        return output

    return run
