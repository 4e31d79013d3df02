"""A gRPC client of Google's, which makes each kind of call. A channel has no path, so sidekey is told the upstream by the
name `api.localhost`.
"""

import sys
from queue import SimpleQueue
from urllib.parse import urlsplit

import grpc

LARGE = 4 * 1024 * 1024
OPTIONS = [("grpc.max_receive_message_length", 2 * LARGE), ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
base, part = sys.argv[1:3]
port = urlsplit(base).port


def channel_of(name):
    """A channel to sidekey, which means the upstream `name`."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", [*OPTIONS, ("grpc.default_authority", f"{name}.localhost:{port}")])


def method(kind, name, channel):
    return getattr(channel, kind)(f"/test.Service/{name}")


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it did not fail")


def calls(channel):
    unary = method("unary_unary", "Unary", channel)
    own = [("authorization", "Bearer placeholder"), ("x-mine", "yes"), ("x-mine-bin", b"\x00\xff")]
    answer, call = unary.with_call(b"abc", metadata=own, timeout=60)
    assert answer == b"cba", answer
    assert ("x-began", "yes") in call.initial_metadata(), call.initial_metadata()
    trailing = dict(call.trailing_metadata())
    assert trailing == {"x-got-x-mine": "yes", "x-got-x-mine-bin": b"\x00\xff"}, trailing
    assert call.code() is grpc.StatusCode.OK, call.code()

    assert unary(b"", timeout=60) == b""
    large = bytes(range(256)) * (LARGE // 256)
    assert unary(large, timeout=60) == large[::-1]

    numbers = [int(number) for number in method("unary_stream", "ServerStream", channel)(b"1000", timeout=60)]
    assert numbers == list(range(1000)), numbers
    pieces = [b"%d," % number for number in range(1000)]
    assert method("stream_unary", "ClientStream", channel)(iter(pieces), timeout=60) == b"".join(pieces)
    many = [unary.future(b"%d" % number, timeout=60) for number in range(200)]
    assert [int(call.result()[::-1]) for call in many] == list(range(200))


def both(channel):
    """The next message is made only once the one before has been answered."""
    requests = SimpleQueue()
    call = method("stream_stream", "Both", channel)(iter(requests.get, None), timeout=60)
    for number in range(5):
        requests.put(b"%d" % number)
        assert next(call) == b"re: %d" % number
    requests.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK, call.code()


def codes(channel):
    fail = method("unary_unary", "Fail", channel)
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        error = failure(lambda: fail(b"%d" % code.value[0], timeout=60))
        assert (error.code(), error.details()) == (code, "größer, 100 %"), (code, error)
        trailing = dict(error.trailing_metadata())
        assert trailing["grpc-status-details-bin"] == b"\x00\xffdetails", trailing
        assert trailing["x-why"] == "asked for", trailing
    error = failure(lambda: method("unary_unary", "None", channel)(b"", timeout=60))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error


def deadline(channel):
    hang = method("unary_unary", "Hang", channel)
    error = failure(lambda: hang(b"", timeout=2))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error


def cancel(channel):
    hang = method("unary_unary", "Hang", channel)
    call = hang.future(b"")
    sys.stdin.readline()
    call.cancel()
    assert call.code() is grpc.StatusCode.CANCELLED, call.code()


def refusals(_channel):
    """What sidekey says itself, as the client understands it."""
    for name, expected in [("unknown", sys.argv[3]), ("gone", sys.argv[4])]:
        with channel_of(name) as channel:
            error = failure(lambda: method("unary_unary", "Unary", channel)(b"", timeout=60))
            print(name, error.code().name, error.details())
            assert error.code().name == expected, error
            problem = {"unknown": "unknown-upstream", "gone": "connection-refused"}[name]
            assert error.details().startswith(f"sidekey: {problem}: "), error
            metadata = dict(error.trailing_metadata())
            assert metadata["x-request-id"] and metadata["proxy-status"].startswith("sidekey; error="), metadata


with channel_of("api") as channel:
    {"calls": calls, "both": both, "codes": codes, "deadline": deadline, "cancel": cancel, "refusals": refusals}[part](channel)
