"""trailctl destination check: what it says of good and of bad destinations, and what goes over the wire.

services: objects
"""
import contextlib
import os
import pathlib
import socket
import ssl
import subprocess
import threading

import pytest

import fake_oss

TRAILCTL = pathlib.Path(os.environ["TRAILBUS_BUILD"]) / "bin" / "trailctl"


@pytest.fixture()
def check(tmp_path):
    """check(row, *arguments, bucket=…): (exit code, output). A row's keys are the settings of a destination."""
    def run(row, *arguments, bucket="audit", user=("writer", "writer-secret")):
        credentials = tmp_path / "credentials"
        credentials.write_text(f"access_key_id={user[0]}\nsecret_access_key={user[1]}\n")
        settings = {"pattern": "*", "credentials_file": credentials, **row}
        config = tmp_path / "trailbus.conf"
        config.write_text("destinations = ( { " + " ".join(f'{k} = "{v}";' for k, v in settings.items()) + " } );\n")
        done = subprocess.run([TRAILCTL, "destination", "check", bucket, "--config", config, *arguments], text=True,
                              capture_output=True, check=False, timeout=60)
        print(done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr
    return run


@contextlib.contextmanager
def oss(tls=None):
    server, store = fake_oss.start(tls)
    store.port = server.server_address[1]
    store.row = {"dialect": "oss", "endpoint": f"http{'s' if tls else ''}://localhost:{store.port}", "region": "cn-hangzhou"}
    store.buckets["audit"] = fake_oss.Bucket()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def answering(answer):
    """A server that says `answer` to whatever comes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def has(said, *words):
    code, text = said
    assert code == 1
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"


def test_good_destinations_of_each_dialect(check, tmp_path):
    (tmp_path / "buckets" / "audit").mkdir(parents=True)
    with oss() as store:
        for row in (store.row, {"dialect": "files", "endpoint": tmp_path / "buckets"}):
            for _ in range(2):
                code, text = check(row, "--prefix", "a/b")
                assert code == 0 and "the bucket audit can be used" in text and "NO" not in text
        assert list(store.buckets["audit"].objects) == ["a/b/AliyunLogs/trailbus-probe"]
    assert (tmp_path / "buckets/audit/a/b/AliyunLogs/trailbus-probe").read_bytes() == b"trailbus"


def test_s3_is_good_and_a_missing_bucket_missing(check):
    row = {"dialect": "s3", "endpoint": os.environ["TRAILBUS_S3"]}
    user = (os.environ["TRAILBUS_S3_ACCESS_KEY_ID"], os.environ["TRAILBUS_S3_SECRET_ACCESS_KEY"])
    subprocess.run(["curl", "-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", ":".join(user), "-X", "PUT",
                    f"{row['endpoint']}/audit"], check=True, capture_output=True)
    assert check(row, user=user)[0] == 0
    has(check(row, bucket="absent", user=user), "NoSuchBucket", "make the bucket")
    has(check(row, user=(user[0], "wrong")), "SignatureDoesNotMatch", "secret_access_key")


def test_what_is_wrong_is_said_with_what_to_do(check, tmp_path):
    with oss() as store:
        has(check(store.row, bucket="absent"), "NoSuchBucket", "make the bucket")
        has(check(store.row, user=("writer", "wrong")), "SignatureDoesNotMatch", "secret_access_key")
        has(check(store.row, user=("blind", "blind-secret")), "oss:ListObjects", "objects are listed       NO")
        has(check(store.row, user=("reader", "reader-secret")), "oss:PutObject", "an object is written     NO")
        store.buckets["audit"].versioning = "Suspended"
        has(check(store.row), "versioning is Suspended", "a new bucket")
        store.buckets["audit"].versioning = ""
        store.faults.append("garbage")
        has(check(store.row), "not one of an object store", "no proxy or web page")
        has(check({**store.row, "addressing": "path", "endpoint": f"http://127.0.0.1:{store.port}"}),
            "SecondLevelDomainForbidden")
    has(check(store.row), "start the store")
    has(check({**store.row, "endpoint": "http://nowhere.invalid"}), "endpoint, or the machine's DNS")
    has(check({"dialect": "files", "endpoint": tmp_path}), "no such folder", "make the folder")


@pytest.mark.parametrize("answer", [
    b"220 mail.example.com ESMTP\r\n", b"", b"\0\xff" * 1000, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n<ListBucketResult>",
    b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html></html>\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200000])
def test_answers_that_are_none(check, answer):
    with answering(answer) as port:
        has(check({"dialect": "s3", "endpoint": f"http://127.0.0.1:{port}"}), "no proxy or web page in front of it")


def test_a_store_that_overwrites_is_refused(check):
    """One that knows nothing of If-None-Match, as some gateways: every PUT is fine."""
    ok = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 39\r\n\r\n<ListBucketResult></ListBucketResult>\r\n"
    with answering(ok) as port:
        has(check({"dialect": "s3", "endpoint": f"http://127.0.0.1:{port}"}), "overwriting is refused   NO",
            "lets objects be overwritten", "create-only")


def test_certificates(check, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:*.localhost,DNS:audit.localhost"],
                   check=True, capture_output=True)
    with oss((certificate, key)) as store:
        has(check(store.row), "ca_file")
        code, _ = check({**store.row, "ca_file": certificate})
        assert code == 0
    with oss() as store:
        has(check({**store.row, "endpoint": f"https://localhost:{store.port}"}), "http://, if that is what")


def test_encryption_is_asked_for_and_nothing_else_if_not_set(check):
    with oss() as store:
        assert check({**store.row, "encryption": "KMS", "encryption_key": "key-1"})[0] == 0
        sent = [fields for method, _, _, fields in store.requests if method == "PUT"]
        assert [one["x-oss-server-side-encryption"] for one in sent] == ["KMS", "KMS"]
        assert [one["x-oss-server-side-encryption-key-id"] for one in sent] == ["key-1", "key-1"]
        store.requests.clear()
        assert check(store.row, "--prefix", "other")[0] == 0
        assert not any("x-oss-server-side-encryption" in fields for _, _, _, fields in store.requests)


@pytest.mark.parametrize("row, word", [
    ({"dialect": "gcs", "endpoint": "http://h"}, "dialect must be s3, oss or files"),
    ({"dialect": "oss", "endpoint": "http://h"}, "oss needs the region"),
    ({"dialect": "oss", "endpoint": "http://h", "region": "oss-cn-hangzhou"}, "without oss-"),
    ({"dialect": "oss", "endpoint": "http://h", "region": "cn-hangzhou", "encryption": "aws:kms"}, "encryption"),
    ({"dialect": "s3", "endpoint": "h"}, "endpoint must be http"),
    ({"dialect": "s3", "endpoint": "http://h/path"}, "endpoint must be http"),
    ({"dialect": "s3", "endpoint": "http://h", "addressing": "sideways"}, "addressing must be"),
    ({"dialect": "s3", "endpoint": "http://h", "credentials_file": ""}, "credentials_file is missing"),
    ({"dialect": "files", "endpoint": "relative"}, "path of a folder"),
    ({"dialect": "files", "endpoint": "/tmp", "encryption": "AES256"}, "encrypted by the disk"),
    ({"pattern": "other-*", "dialect": "files", "endpoint": "/tmp"}, "no row of `destinations`")])
def test_rows_that_cannot_be(check, row, word):
    has(check(row), word)


def test_wrongly_called(check):
    assert check({"dialect": "files", "endpoint": "/tmp"}, "more", "words")[0] == 2
