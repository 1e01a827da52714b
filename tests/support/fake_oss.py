#!/usr/bin/env python3
"""An object store that speaks OSS natively, as far as an audit trail and the official clients need it.

    fake_oss.py --port-file FILE [--tls CERTIFICATE KEY]     serves until it is ended; FILE gets the port

It verifies every signature (V4 in headers) over what it received, Content-MD5, and the clock (15 minutes); buckets are virtual
hosts (BUCKET.localhost, BUCKET.oss-cn-hangzhou.test), path style is refused; `x-oss-forbid-overwrite` answers 409 FileAlreadyExists, and is ignored in buckets
whose versioning is enabled or suspended, as the real one does. Errors are OSS's, on HEAD in the header x-oss-err.

Keys: "writer" (everything), "reader" (may not put), "blind" (may not list); each one's secret is its name and "-secret".
POST /-/NAME on the host "control.localhost" makes the next PutObjects misbehave, each name once for each call:
    lose      stored, then the connection is closed
    trouble   503 before it is stored
    garbage   the next listing is answered by a page of HTML
"""
import argparse
import base64
import datetime
import email.utils
import hashlib
import hmac
import http.server
import os
import re
import ssl
import threading
import urllib.parse
import xml.sax.saxutils

USERS = {name: f"{name}-secret" for name in ("writer", "reader", "blind")}
REGION = "cn-hangzhou"
DOMAINS = (".localhost", ".oss-cn-hangzhou.test") # oss2 takes localhost for an address, and uses path style
PAGE = 1000


class Refused(Exception):
    def __init__(self, status, code, message="", headers=None):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message or code, headers or {}


class Bucket:
    def __init__(self):
        self.objects, self.versioning = {}, ""


class Store:
    """What all connections share."""

    def __init__(self):
        self.buckets, self.lock, self.faults, self.requests = {}, threading.RLock(), [], []

    def take_fault(self, *names):
        with self.lock:
            for name in names:
                if name in self.faults:
                    self.faults.remove(name)
                    return name
        return None


def signature(method, bucket, key, query, headers, authorization):
    """(hex, canonical request) of V4, from what was received."""
    found = re.fullmatch(r"OSS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/oss/aliyun_v4_request,"
                         r" ?(?:AdditionalHeaders=([^,]*), ?)?Signature=([0-9a-f]{64})", authorization)
    if not found:
        raise Refused(400, "InvalidArgument", "Authorization is not one of V4")
    user, day, region, additional, given = found.groups()
    if user not in USERS:
        raise Refused(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
    if region != REGION:
        raise Refused(400, "InvalidArgument", "Invalid signing region in Authorization header.")
    stamp = headers.get("x-oss-date", "")
    check_clock(stamp)
    if headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        raise Refused(400, "InvalidArgument", "x-oss-content-sha256 must be UNSIGNED-PAYLOAD")
    additional = additional.split(";") if additional else []
    names = sorted(n for n in headers
                   if n.startswith("x-oss-") or n in ("content-type", "content-md5") or n in additional)
    quote = urllib.parse.quote
    path = quote("/" + (bucket + "/" + key if bucket else ""), safe="/~")
    pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in query)
    canonical = "\n".join([method, path, "&".join(k + ("=" + v if v else "") for k, v in pairs),
                           "".join(f"{n}:{headers[n].strip()}\n" for n in names), ";".join(additional),
                           "UNSIGNED-PAYLOAD"])
    digest = ("aliyun_v4" + USERS[user]).encode()
    for part in (day, region, "oss", "aliyun_v4_request"):
        digest = hmac.new(digest, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["OSS4-HMAC-SHA256", stamp, f"{day}/{region}/oss/aliyun_v4_request",
                      hashlib.sha256(canonical.encode()).hexdigest()])
    wanted = hmac.new(digest, text.encode(), hashlib.sha256).hexdigest()
    if not stamp.startswith(day) or not hmac.compare_digest(wanted, given):
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match; canonical "
                      "request:\n" + canonical)
    return user


def check_clock(stamp):
    try:
        when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Refused(403, "AccessDenied", "x-oss-date is malformed") from None
    if abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) > 15 * 60:
        raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None

    def log_message(self, *_):
        pass

    def do_any(self):
        self.request_id = os.urandom(12).hex().upper()
        self.fields = {k.lower(): v for k, v in self.headers.items()}
        body = self.rfile.read(int(self.fields.get("content-length") or 0))
        try:
            self.serve(body)
        except Refused as refused:
            self.refuse(refused)
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

    def serve(self, body):
        target = urllib.parse.urlsplit(self.path)
        host = self.fields.get("host", "").rsplit(":", 1)[0]
        label = next((host.removesuffix(domain) for domain in DOMAINS if host.endswith(domain)), "")
        if label == "control":
            with self.store.lock:
                self.store.faults.append(target.path.removeprefix("/-/"))
            self.answer(204)
            return
        if not label:
            raise Refused(403, "SecondLevelDomainForbidden", "Please use virtual hosted style to access.")
        key = urllib.parse.unquote(target.path[1:])
        query = urllib.parse.parse_qsl(target.query, keep_blank_values=True)
        user = signature(self.command, label, key, query, self.fields, self.fields.get("authorization", ""))
        with self.store.lock:
            self.store.requests.append((self.command, label, key, dict(self.fields)))
            if key:
                self.serve_object(user, label, key, body)
            else:
                self.serve_bucket(user, label, dict(query), body)

    # ---- buckets --------------------------------------------------------------------------------------

    def bucket(self, name):
        if name not in self.store.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self.store.buckets[name]

    def serve_bucket(self, user, name, query, body):
        if self.command == "PUT" and "versioning" not in query:
            self.store.buckets.setdefault(name, Bucket())
            self.answer(200)
            return
        bucket = self.bucket(name)
        if "versioning" in query:
            if self.command == "PUT":
                bucket.versioning = re.search(rb"<Status>(\w+)</Status>", body)[1].decode()
                self.answer(200)
                return
            status = f"<Status>{bucket.versioning}</Status>" if bucket.versioning else ""
            self.answer(200, f"<VersioningConfiguration>{status}</VersioningConfiguration>")
        elif "bucketInfo" in query:
            self.answer(200, "<BucketInfo><Bucket><CreationDate>2026-01-01T00:00:00.000Z</CreationDate><ExtranetEndpoint>"
                        "localhost</ExtranetEndpoint><IntranetEndpoint>localhost</IntranetEndpoint><Location>oss-"
                        f"{REGION}</Location><Name>{name}</Name><StorageClass>Standard</StorageClass><Owner>"
                        "<DisplayName>1</DisplayName><ID>1</ID></Owner><AccessControlList><Grant>private</Grant>"
                        "</AccessControlList></Bucket></BucketInfo>")
        elif self.command == "GET" and query.get("list-type") == "2":
            self.list(user, name, bucket, query)
        elif self.command == "HEAD":
            self.answer(200)
        else:
            raise Refused(405, "MethodNotAllowed")

    def list(self, user, name, bucket, query):
        if user == "blind":
            raise Refused(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
        if self.store.take_fault("garbage"):
            self.answer(200, "<html><body>It works!</body></html>", {"content-type": "text/html"})
            return
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        if "continuation-token" in query:
            after = base64.urlsafe_b64decode(query["continuation-token"]).decode()
        keys = sorted(k for k in bucket.objects if k.startswith(prefix) and k > after)
        limit = min(PAGE, int(query.get("max-keys") or 100))
        page, more = keys[:limit], len(keys) > limit
        url = query.get("encoding-type") == "url"

        def show(text):
            return urllib.parse.quote(text, safe="") if url else xml.sax.saxutils.escape(text)
        contents = "".join(
            f"<Contents><Key>{show(k)}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified><ETag>"
            f"&quot;{bucket.objects[k][1]['etag']}&quot;</ETag><Type>Normal</Type><Size>{len(bucket.objects[k][0])}</Size>"
            "<StorageClass>Standard</StorageClass></Contents>" for k in page)
        token = base64.urlsafe_b64encode(page[-1].encode()).decode() if more else ""
        self.answer(200, f"<ListBucketResult><Name>{name}</Name><Prefix>{show(prefix)}</Prefix><MaxKeys>{limit}</MaxKeys>"
                    f"<KeyCount>{len(page)}</KeyCount>" + ("<EncodingType>url</EncodingType>" if url else "") +
                    f"<IsTruncated>{str(more).lower()}</IsTruncated>" +
                    (f"<NextContinuationToken>{token}</NextContinuationToken>" if more else "") +
                    contents + "</ListBucketResult>")

    # ---- objects --------------------------------------------------------------------------------------

    def serve_object(self, user, name, key, body):
        bucket = self.bucket(name)
        if self.command == "PUT":
            self.put(user, bucket, key, body)
        elif self.command in ("GET", "HEAD"):
            if key not in bucket.objects:
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            content, meta = bucket.objects[key]
            headers = {k: v for k, v in meta.items() if k != "etag"}
            self.answer(200, content, {**headers, "etag": f'"{meta["etag"]}"',
                                       "last-modified": email.utils.formatdate(usegmt=True)})
        elif self.command == "DELETE":
            bucket.objects.pop(key, None)
            self.answer(204)
        else:
            raise Refused(405, "MethodNotAllowed")

    def put(self, user, bucket, key, body):
        if user == "reader":
            raise Refused(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
        if len(key.encode()) > 1023 or key.startswith(("/", "\\")):
            raise Refused(400, "InvalidObjectName")
        digest = hashlib.md5(body)
        given = self.fields.get("content-md5")
        if given and given != base64.b64encode(digest.digest()).decode():
            raise Refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
        if self.fields.get("x-oss-server-side-encryption", "AES256") not in ("AES256", "KMS", "SM4"):
            raise Refused(400, "InvalidEncryptionAlgorithmError")
        fault = self.store.take_fault("lose", "trouble")
        if fault == "trouble":
            raise Refused(503, "ServiceUnavailable", "Please reduce your request rate.")
        if self.fields.get("x-oss-forbid-overwrite") == "true" and key in bucket.objects and not bucket.versioning:
            raise Refused(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.",
                          {"x-oss-ec": "0026-00000002"})
        kept = {k: v for k, v in self.fields.items()
                if k.startswith(("x-oss-meta-", "x-oss-server-side-encryption")) or k == "content-type"}
        bucket.objects[key] = (body, {**kept, "etag": digest.hexdigest().upper()})
        if fault == "lose":
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.answer(200, b"", {"etag": f'"{digest.hexdigest().upper()}"'})

    # ---- answers --------------------------------------------------------------------------------------

    def answer(self, status, body=b"", headers=None):
        if isinstance(body, str):
            body = body.encode()
            if body and not (headers or {}).get("content-type"):
                body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + body
        self.send_response(status)
        for key, value in {"x-oss-request-id": self.request_id, **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, refused):
        text = (f"<Error><Code>{refused.code}</Code><Message>{xml.sax.saxutils.escape(refused.message)}</Message>"
                f"<RequestId>{self.request_id}</RequestId><HostId>{self.fields.get('host', '')}</HostId></Error>")
        headers = dict(refused.headers)
        if self.command == "HEAD":
            headers["x-oss-err"] = base64.b64encode(text.encode()).decode()
        self.answer(refused.status, text, headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """A client that was killed, or does not trust us: its own affair."""


def start(tls=None):
    """A server on a free port of the loopback, in threads of its own: (server, store)."""
    store = Store()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"store": store}))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, store


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--tls", nargs=2)
    options = parser.parse_args()
    server, _ = start(options.tls)
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        file.write(f"{server.server_address[1]}\n")
    os.rename(options.port_file + ".new", options.port_file)
    threading.Event().wait()


if __name__ == "__main__":
    main()
