"""KServe's REST and gRPC clients."""

import subprocess
import sys
import unittest
from pathlib import Path

from serving import Server


class Clients(unittest.TestCase):
    def test_kserves_clients(self):
        with Server("--grpc-port", "0") as server:
            script = Path(__file__).with_name("kserve_talk.py")
            arguments = [sys.executable, str(script), server.address, server.grpc_address]
            ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)


if __name__ == "__main__":
    unittest.main()
