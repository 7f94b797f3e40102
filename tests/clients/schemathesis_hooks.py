"""What schemathesis is told of this server: how lines of JSON are written, and that time is not to run out."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_, value):
    """Writes an example as it is, and anything else as one line."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogateescape")


@schemathesis.hook
def before_call(_, case, __):
    """Gives a request that wants its answer within a millisecond more of them: 504 would be the right answer."""
    headers = case.headers or {}
    if str(headers.get("x-request-timeout-ms", "")).isdigit():
        headers["x-request-timeout-ms"] = "60000"
    parameters = case.body.get("parameters") if isinstance(case.body, dict) else None
    if isinstance(parameters, dict) and type(parameters.get("timeout")) is int and parameters["timeout"] > 0:
        parameters["timeout"] = 60_000_000
