"""The API from outside: the official SDK, and requests signed by hand where the SDK is too well-behaved."""
import base64
import collections
import contextlib
import hashlib
import hmac
import http.client
import json
import re
import time
import urllib.parse
import uuid

import pytest
from alibabacloud_actiontrail20200706 import models
from alibabacloud_actiontrail20200706.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.models import Config

VERSION = "2020-07-06"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
PATIENCE_S = 60


# --- The SDK -----------------------------------------------------------------------------------------------


class Caller:
    """An account at the API of a region: caller("CreateTrail", name=…) is the answer's body as a dict.

    Waits out throttling, unless told not to: that an account may call so often is the test of one test only."""

    def __init__(self, endpoint, account, secret=None, patient=True, **config):
        self.account, self.patient = account, patient
        self.client = Client(Config(access_key_id=account["accessKeyId"],
                                    access_key_secret=secret or account["accessKeySecret"],
                                    region_id="cn-hangzhou", endpoint=endpoint, protocol="HTTP",
                                    connect_timeout=5000, read_timeout=30000, **config))

    def __call__(self, action, **parameters):
        call = getattr(self.client, re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower())
        request = getattr(models, f"{action}Request", None)
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(*([request(**parameters)] if request else [])).body.to_map()
            except AlibabaCloudException as error:
                if error.code != "Throttling.User" or not self.patient or time.monotonic() > until:
                    raise
            time.sleep(0.1)

    def lookup(self, *attributes, **parameters):
        """One page; `attributes` are pairs of key and value."""
        if attributes:
            made = [models.LookupEventsRequestLookupAttribute(key=key, value=value) for key, value in attributes]
            parameters["lookup_attribute"] = made
        return self("LookupEvents", **parameters)

    def pages(self, *attributes, **parameters):
        """The events of each page until there are no more."""
        token = None
        while True:
            page = self.lookup(*attributes, next_token=token, **parameters)
            yield page["Events"]
            token = page.get("NextToken")
            if not token:
                return

    def events(self, *attributes, **parameters):
        return [event for page in self.pages(*attributes, **{"max_results": "50", **parameters}) for event in page]


def caller(stack, account, **how):
    """A Caller of this stack. The API knows a new key once it has read of it: waits for that."""
    made = Caller(how.pop("endpoint", stack.env["TRAILBUS_API"]), account, **how)
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            made("DescribeTrails")
            return made
        except AlibabaCloudException as error:
            if error.code != "InvalidAccessKeyId.NotFound" or time.monotonic() > until:
                raise
        time.sleep(0.05)


def callers(stack, count):
    """Callers of new accounts; one after the other, since one change of a deployment shuts out another."""
    return [caller(stack, stack.account()) for _ in range(count)]


def logging_trail(one, name, bucket, prefix, **parameters):
    """A trail that is started."""
    one("CreateTrail", name=name, oss_bucket_name=bucket, oss_key_prefix=prefix, **parameters)
    one("StartLogging", name=name)


@contextlib.contextmanager
def refused(code, status, words=""):
    """The API refuses the call with this code and HTTP status, saying something with these words."""
    with pytest.raises(AlibabaCloudException) as caught:
        yield
    error = caught.value
    assert (error.code, error.status_code) == (code, status), error
    assert words in error.message
    assert error.request_id


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# --- By hand -----------------------------------------------------------------------------------------------

Answer = collections.namedtuple("Answer", "status type body")


def encode(text):
    return urllib.parse.quote(str(text), safe="-_.~")


def canonical(parameters):
    return "&".join(f"{encode(key)}={encode(value)}" for key, value in sorted(parameters.items()))


def send(endpoint, method, target, headers=None, body=b""):
    """One request as it is; target and headers are not looked at."""
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": endpoint, "Content-Length": str(len(body)), **(headers or {})}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("Content-Type"), answer.read())
    finally:
        connection.close()


def acs3_headers(account, endpoint, method, action, query, body=b"", **changed):
    """Headers of a signed request. `changed` replaces any of them before signing; None leaves it out."""
    headers = {"host": endpoint, "x-acs-action": action, "x-acs-version": VERSION, "x-acs-date": iso(time.time()),
               "x-acs-signature-nonce": uuid.uuid4().hex, "x-acs-content-sha256": hashlib.sha256(body).hexdigest()}
    if body:
        headers["content-type"] = "application/x-www-form-urlencoded"
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    headers = {name: value for name, value in headers.items() if value is not None}
    signed = ";".join(sorted(headers))
    request = "\n".join([method, "/", canonical(query), *(f"{name}:{headers[name]}" for name in sorted(headers)), "", signed,
                         headers.get("x-acs-content-sha256", EMPTY_SHA256)])
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
    signature = hmac.new(account["accessKeySecret"].encode(), text.encode(), "sha256").hexdigest()
    headers["Authorization"] = (f"ACS3-HMAC-SHA256 Credential={account['accessKeyId']},SignedHeaders={signed},"
                                f"Signature={signature}")
    return headers


def acs3(endpoint, account, action, query=None, method="POST", body=b"", **changed):
    headers = acs3_headers(account, endpoint, method, action, query or {}, body, **changed)
    headers["Host"] = headers.pop("host", None)
    return send(endpoint, method, "/?" + canonical(query or {}), headers, body)


def v1_parameters(account, action, parameters, method="POST", **changed):
    """All parameters of a request signed with V1 (HMAC-SHA1), signature included."""
    every = {"Action": action, "Version": VERSION, "Format": "JSON", "AccessKeyId": account["accessKeyId"],
             "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureType": "",
             "SignatureNonce": uuid.uuid4().hex, "Timestamp": iso(time.time()), **parameters, **changed}
    every = {name: value for name, value in every.items() if value is not None}
    text = f"{method}&%2F&{encode(canonical(every))}"
    digest = hmac.digest(account["accessKeySecret"].encode() + b"&", text.encode(), "sha1")
    return {**every, "Signature": base64.b64encode(digest).decode()}


def v1(endpoint, account, action, parameters=None, method="POST", form=(), **changed):
    """`form`: names of parameters that go into a form body, as Terraform sends them."""
    every = v1_parameters(account, action, parameters or {}, method, **changed)
    body = urllib.parse.urlencode({name: every[name] for name in form}).encode()
    query = urllib.parse.urlencode({name: value for name, value in every.items() if name not in form})
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    return send(endpoint, method, "/?" + query, headers, body)


def code_of(answer):
    """The error code of a JSON answer that has every field of one."""
    said = json.loads(answer.body)
    assert answer.status >= 400 and answer.type.startswith("application/json"), answer
    assert said["RequestId"] and said["Message"] and "HostId" in said, said
    return said["Code"]
