"""What is measured by hand, for docs/performance.md: ML_SERVE=target/release/ml-serve python by_hand.py NAME

`reloads`: memory while a model is loaded again and again under load. `repository`: 200 models, from start to answer.
`transfer`: tensors of 4 MiB in binary and in JSON, over a bare socket. `protocols`: the same small calls by tritonclient over HTTP
and gRPC, in turn.
"""

import json
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
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


def asked(link, path, head, body):
    """Sends one request over a connection; returns the seconds until its answer is here."""
    sent = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body
    began = time.perf_counter()
    link.sendall(sent)
    got = link.recv(1 << 20)
    while b"\r\n\r\n" not in got:
        got += link.recv(1 << 20)
    answer_head, _, rest = got.partition(b"\r\n\r\n")
    left = int(re.search(rb"content-length: (\d+)", answer_head)[1]) - len(rest)
    # Into one piece of memory: to copy what is read would be this client's time, not the server's.
    room = memoryview(bytearray(max(left, 1)))
    while left > 0:
        left -= link.recv_into(room, left)
    took = time.perf_counter() - began
    if not answer_head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(rest[:300])
    return took


def transfer(numbers=1 << 20):
    """Sends 2^20 floats in every form; prints the rate of the request's bytes."""
    array = np.random.default_rng(1).normal(size=(1, numbers)).astype(np.float32)
    tensor = {"name": "INPUT0", "datatype": "FP32", "shape": [1, numbers]}

    def binary(parameters):
        head = {"inputs": [tensor | {"parameters": {"binary_data_size": array.nbytes}}], "parameters": parameters}
        head = json.dumps(head).encode()
        return f"inference-header-content-length: {len(head)}\r\n", head + array.tobytes()

    def text(written):
        data = ",".join(map(written, array.flat))
        return "", json.dumps({"inputs": [tensor]})[:-3].encode() + f', "data": [{data}]}}]}}'.encode()

    forms = {
        "binary to one number": ("largest", 200, binary({})),
        "binary to binary": ("identity_FP32", 200, binary({"binary_data_output": True})),
        "JSON of 4 decimals to one number": ("largest", 40, text("{:.4f}".format)),
        "JSON of all digits to one number": ("largest", 40, text(lambda number: repr(float(number)))),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = models.write_all(Path(folder))
        paths = {"identity_FP32": paths["identity_FP32"], "largest": Path(folder) / "largest.onnx"}
        models.write_largest(paths["largest"])
        with Server(paths=paths) as server:
            address, port = server.address.split(":")
            for name, (model, count, (head, body)) in forms.items():
                with socket.create_connection((address, int(port))) as link:
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    path = f"/v2/models/{model}/infer"
                    first = asked(link, path, head, body)
                    took = [asked(link, path, head, body) for _ in range(count)]
                middle = statistics.median(took)
                print(
                    f"{name}: {len(body) / 1e6:.1f} MB, median {middle * 1e3:.2f} ms, first {first * 1e3:.2f} ms, "
                    f"{len(body) / middle / 1e9:.2f} GB/s (slowest of ten {len(body) / sorted(took)[-count // 10] / 1e9:.2f})"
                )


def protocols(rounds=5, count=2000):
    """Asks for one addition again and again by HTTP and by gRPC, in turn; prints rates and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        add_to(folder, "m", 1.0)
        with Server("--grpc-port", "0", folder=Path(folder)) as server:
            by_http, by_grpc = http.InferenceServerClient(server.address), grpc.InferenceServerClient(server.grpc_address)
            of_grpc = [grpc.InferInput("x", [1, 2], "FP32")]
            of_grpc[0].set_data_from_numpy(np.zeros((1, 2), np.float32))

            def rate(client, given):
                began = time.perf_counter()
                for _ in range(count):
                    client.infer("m", given)
                return count / (time.perf_counter() - began)

            rate(by_http, zeros()), rate(by_grpc, of_grpc)
            for number in range(rounds):
                over_http, over_grpc = rate(by_http, zeros()), rate(by_grpc, of_grpc)
                print(
                    f"round {number}: HTTP {over_http:.0f}/s, gRPC {over_grpc:.0f}/s, {over_grpc / over_http:.2f} x"
                )
            by_http.close()
            by_grpc.close()


{"reloads": reloads, "repository": repository, "transfer": transfer, "protocols": protocols}[sys.argv[1]]()
