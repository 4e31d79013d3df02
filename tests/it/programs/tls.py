"""httpx and requests over TLS, with a certificate of their own; and without it, which is refused."""

import ssl
import sys

import httpx
import requests

URL = sys.argv[1].replace("http://", "https://") + "/about"
FOLDER = sys.argv[2]
IDENTITY = (f"{FOLDER}/client.pem", f"{FOLDER}/client.key")


def context(identity):
    made = ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")
    if identity:
        made.load_cert_chain(*identity)
    return made


for versions in ({"http1": True, "http2": False}, {"http1": False, "http2": True}):
    with httpx.Client(verify=context(IDENTITY), timeout=60, **versions) as client:
        answer = client.get(URL)
        assert answer.status_code == 200, answer
        assert answer.http_version == ("HTTP/2" if versions["http2"] else "HTTP/1.1"), answer.http_version

assert requests.get(URL, verify=f"{FOLDER}/ca.pem", cert=IDENTITY, timeout=60).status_code == 200

try:
    httpx.get(URL, verify=context(None), timeout=60)
    raise AssertionError("nobody without a certificate is served")
except httpx.TransportError:
    pass
