"""For tests: a folder with made-up studies in it, and study.py called on it."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
MFI, PEERS_PYTHON = HERE / "made_up_mfi.py", HERE / "made_up_peers.py"


def made_up_environment(**more):
    """That of a study whose peers are made up, without what the caller's own says of mfi."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MFI_", "MADE_UP_"))}
    return own | {"MFI_BENCH_PYTHON": str(PEERS_PYTHON), "PYTHONDONTWRITEBYTECODE": "1"} | more


def run_tests():
    """Those of the test script that calls this."""
    try:
        import tomllib  # noqa: F401
    except ImportError:
        print("before Python 3.11: no TOML, nothing is tested", file=sys.stderr)
        sys.exit(0)
    unittest.main()


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out, self.log = self.folder / "out", self.folder / "log"
        self.environment = made_up_environment(MADE_UP_LOG=str(self.log))

    def words(self, *words):
        return [sys.executable, str(HERE / "study.py"), str(MFI), *words, "--out", str(self.out)]

    def study(self, *words, **environment):
        return subprocess.run(self.words(*words), capture_output=True, text=True, cwd=SOURCE, timeout=120,
                              env=self.environment | environment)

    def states(self, *words):
        """{run: how far it is}, as --list says."""
        done = self.study(*words, "--list")
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(line.split(": ", 1) for line in done.stdout.splitlines()[:-1] if not line.startswith(" "))

    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def sized(self, size):
        done = self.study("search", "--dataset", "cifar10", "--only", f"search-{size}")
        self.assertEqual(done.returncode, 0, done.stderr)
