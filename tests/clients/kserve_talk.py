"""KServe's clients, in a process of their own: their messages have the names of Triton's."""

import asyncio
import sys

import httpx
import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

# JSON carries no half precision, and KServe knows no bfloat16.
TYPES = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT16": np.array([[0, 65535]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT16": np.array([[-32768, 32767]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "FP16": np.array([[0.1, -65504]], np.float16),
    "FP32": np.array([[0.1, -3.4e38]], np.float32),
    "FP64": np.array([[0.1, -1.7e308]], np.float64),
    "BYTES": np.array([["plain", "ünï ✓"]], dtype=object),
}


def request(model, array, datatype, binary):
    """One input, and every output."""
    given = InferInput("INPUT0", list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    wanted = RequestedOutput("OUTPUT0", parameters={"binary_data": True})
    outputs = {"request_outputs": [wanted]} if binary else {}
    return InferRequest(model_name=model, infer_inputs=[given], request_id="seven", **outputs)


def check(response, array, what):
    """The answer is what was sent."""
    got = response.outputs[0].as_numpy()
    texts = array.dtype == object
    same = (
        [text.decode() if isinstance(text, bytes) else text for text in got.flat] == list(array.flat)
        if texts
        else got.dtype == array.dtype and got.tobytes() == array.tobytes()
    )
    assert same, f"{what}: {got!r} is not {array!r}"
    assert response.id == "seven", what


async def over_http(address):
    """What the REST client can do."""
    url = f"http://{address}"
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1)) as client:
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True
        assert await client.is_model_ready(url, "simple") is True
        assert await client.is_model_ready(url, "nosuch") is False
        for name, array in TYPES.items():
            for binary in (True, False):
                if name == "FP16" and not binary:
                    continue
                response = await client.infer(url, request(f"identity_{name}", array, name, binary), f"identity_{name}")
                check(response, array, f"{name}, binary={binary}")
        try:
            await client.infer(url, request("nosuch", TYPES["FP32"], "FP32", False), "nosuch")
        except httpx.HTTPStatusError as error:
            assert "Request for unknown model: 'nosuch' is not found" in str(error), error
        else:
            raise AssertionError("a model that is not there answered")


async def over_grpc(address):
    """What the gRPC client can do."""
    async with InferenceGRPCClient(address) as client:
        assert await client.is_server_live() is True
        assert await client.is_server_ready() is True
        assert await client.is_model_ready("simple") is True
        assert await client.is_model_ready("nosuch") is False
        for name, array in TYPES.items():
            check(await client.infer(request(f"identity_{name}", array, name, True)), array, f"{name}, raw")


asyncio.run(over_http(sys.argv[1]))
asyncio.run(over_grpc(sys.argv[2]))
