"""A gRPC server of Google's, over TLS, which serves bytes: no schema is needed to see what passes.

It says `port N`, then `cancelled` for a call that ended before it was done. A call without the credential is
UNAUTHENTICATED, and so is one that has kept a credential of the caller's own.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

FOLDER = os.environ["FOLDER"]
CREDENTIAL = "Bearer " + os.environ["TOKEN"]


def say(line):
    print(line, flush=True)


def admit(context):
    metadata = context.invocation_metadata()
    given = [value for name, value in metadata if name == "authorization"]
    if given != [CREDENTIAL]:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{len(given)} credentials")
    mine = {name: value for name, value in metadata if name.startswith("x-mine")}
    context.send_initial_metadata([("x-began", "yes")])
    context.set_trailing_metadata([(f"x-got-{name}", value) for name, value in mine.items()] or [("x-ended", "yes")])


def unary(request, context):
    admit(context)
    return request[::-1]


def server_stream(request, context):
    admit(context)
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(requests, context):
    admit(context)
    return b"".join(requests)


def both(requests, context):
    """Each answer comes before the next request does."""
    admit(context)
    for request in requests:
        yield b"re: " + request


def fail(request, context):
    """With the code that is asked for, before any message: trailers alone."""
    given = [value for name, value in context.invocation_metadata() if name == "authorization"]
    assert given == [CREDENTIAL]
    context.set_trailing_metadata([("grpc-status-details-bin", b"\x00\xffdetails"), ("x-why", "asked for")])
    code = next(code for code in grpc.StatusCode if code.value[0] == int(request))
    context.abort(code, "größer, 100 %")


def hang(_request, context):
    admit(context)
    over = threading.Event()
    context.add_callback(over.set)
    say("deadline %s" % ("none" if context.time_remaining() is None or context.time_remaining() > 1e6 else "set"))
    over.wait()
    say("cancelled")
    return b""


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
}

LARGE = 16 * 1024 * 1024
server = grpc.server(
    ThreadPoolExecutor(32),
    options=[("grpc.max_receive_message_length", LARGE), ("grpc.max_send_message_length", LARGE)],
)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Service", METHODS)])
with open(f"{FOLDER}/key.pem", "rb") as key, open(f"{FOLDER}/cert.pem", "rb") as certificate:
    credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
port = server.add_secure_port("127.0.0.1:0", credentials)
server.start()
say(f"port {port}")
server.wait_for_termination()
