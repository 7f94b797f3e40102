"""What is measured by hand, for docs/performance.md: ML_SERVE=target/release/ml-serve python by_hand.py reloads|repository

`reloads`: memory while a model is loaded again and again under load. `repository`: 200 models, from start to answer.
"""

import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tritonclient.http as http

import models
from serving import Server


def add_to(folder, name, number):
    """Writes a model that adds a number."""
    path = Path(folder) / name / "1"
    path.mkdir(parents=True)
    models.write_add(path / "model.onnx", number)


def zeros():
    """One row of zeros."""
    given = http.InferInput("x", [1, 2], "FP32")
    given.set_data_from_numpy(np.zeros((1, 2), np.float32))
    return [given]


def resident_kib(server):
    """The memory that the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def reloads(count=100, threads=4):
    """Loads a model again under load; prints the memory in between, and how many requests were answered."""
    with tempfile.TemporaryDirectory() as folder:
        add_to(folder, "m", 1.0)
        with Server("--model-control", "explicit", folder=Path(folder)) as server:
            control = http.InferenceServerClient(server.address, network_timeout=600)
            control.load_model("m")
            over, answered, failed = threading.Event(), [0] * threads, []

            def ask(place):
                client = http.InferenceServerClient(server.address)
                while not over.is_set():
                    try:
                        client.infer("m", zeros())
                        answered[place] += 1
                    except Exception as error:  # noqa: BLE001, whatever it is, it is counted.
                        failed.append(repr(error))
                client.close()

            asking = [threading.Thread(target=ask, args=(place,)) for place in range(threads)]
            for thread in asking:
                thread.start()
            began = time.monotonic()
            for number in range(count + 1):
                if number % (count // 10) == 0:
                    print(f"after {number} reloads: {resident_kib(server)} KiB")
                if number < count:
                    control.load_model("m")
            took = time.monotonic() - began
            over.set()
            for thread in asking:
                thread.join()
            control.close()
            print(f"{count} reloads in {took:.1f} s, {sum(answered)} requests answered, {len(failed)} failed")
            print("\n".join(failed[:5]))


def repository(count=200):
    """Starts on many models and asks each of them."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            add_to(folder, f"m{number:03}", float(number))
        for attempt in range(5):
            began = time.monotonic()
            with Server(folder=Path(folder)) as server:
                ready = time.monotonic() - began
                client = http.InferenceServerClient(server.address)
                right = sum(client.infer(f"m{n:03}", zeros()).as_numpy("y").flat[0] == n for n in range(count))
                print(
                    f"start {attempt}: ready after {ready:.2f} s, {right} of {count} models answered "
                    f"after {time.monotonic() - began:.2f} s, {resident_kib(server)} KiB"
                )
                client.close()


{"reloads": reloads, "repository": repository}[sys.argv[1]]()
