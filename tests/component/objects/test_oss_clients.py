"""The fake OSS is one that the official clients take for OSS: what our own client is tested against is not only our own reading.

Both clients sign with V4; the fake verifies what it receives, not what we believe was sent.
"""
import base64
import hashlib
import socket
import sys

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest

import fake_oss

sys.dont_write_bytecode = True
KEY = "pre/AliyunLogs/Actiontrail/cn-hangzhou/2026/11/23/Actiontrail_cn-hangzhou_20261123015700_3_00000000000000000042_0011.gz"
ODD_KEYS = ["hive/year=2026/a b+c~é.gz", "p/ü&<>\"'.gz", "p/%41.gz"]
BODY = b"\x1f\x8b\x08\x00 not really gzip"
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()


@pytest.fixture(scope="module", autouse=True)
def names():
    """*.test is this machine, whatever the resolver says."""
    before = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: before(
        "127.0.0.1" if str(host).endswith(".test") else host, *rest, **more)
    yield
    socket.getaddrinfo = before


@pytest.fixture()
def store():
    server, one = fake_oss.start()
    one.endpoint = f"http://oss-cn-hangzhou.test:{server.server_address[1]}"
    yield one
    server.shutdown()
    server.server_close()


def old_client(store, user="writer", secret=None, bucket="audit-bucket"):
    return oss2.Bucket(oss2.AuthV4(user, secret or f"{user}-secret"), store.endpoint, bucket, region="cn-hangzhou")


def new_client(store, user="writer"):
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(user, f"{user}-secret")
    config.region, config.endpoint = "cn-hangzhou", store.endpoint
    config.retry_max_attempts = 1
    return oss_v2.Client(config)


def headers(**more):
    return {"Content-MD5": MD5, "Content-Type": "application/gzip", "x-oss-forbid-overwrite": "true",
            "x-oss-server-side-encryption": "AES256", "x-oss-meta-trail": "t1", **more}


def test_oss2_writes_once_reads_and_lists(store):
    bucket = old_client(store)
    bucket.create_bucket()
    bucket.put_object(KEY, BODY, headers=headers())
    with pytest.raises(oss2.exceptions.ServerError) as error:
        bucket.put_object(KEY, b"other", headers={"x-oss-forbid-overwrite": "true"})
    assert (error.value.status, error.value.code) == (409, "FileAlreadyExists")
    found = bucket.head_object(KEY)
    assert found.headers["x-oss-meta-trail"] == "t1" and found.headers["x-oss-server-side-encryption"] == "AES256"
    assert bucket.get_object(KEY).read() == BODY
    for key in ODD_KEYS:
        bucket.put_object(key, b"x")
    assert sorted([KEY, *ODD_KEYS]) == [one.key for one in oss2.ObjectIteratorV2(bucket, max_keys=2)]
    with pytest.raises(oss2.exceptions.NotFound):
        bucket.head_object("absent")
    assert bucket.get_bucket_info().location == "oss-cn-hangzhou"


def test_oss_v2_writes_once_reads_and_lists(store):
    client = new_client(store)
    client.put_bucket(oss_v2.PutBucketRequest(bucket="audit-bucket"))
    request = oss_v2.PutObjectRequest(bucket="audit-bucket", key=KEY, body=BODY, content_md5=MD5, forbid_overwrite=True,
                                      server_side_encryption="SM4", metadata={"trail": "t1"})
    assert client.put_object(request).status_code == 200
    with pytest.raises(oss_v2.exceptions.OperationError) as error:
        client.put_object(request)
    assert error.value.unwrap().code == "FileAlreadyExists" and error.value.unwrap().status_code == 409
    found = client.head_object(oss_v2.HeadObjectRequest(bucket="audit-bucket", key=KEY))
    assert found.metadata == {"trail": "t1"} and found.server_side_encryption == "SM4"
    for key in ODD_KEYS:
        client.put_object(oss_v2.PutObjectRequest(bucket="audit-bucket", key=key, body=b"x"))
    pages = client.list_objects_v2_paginator().iter_page(oss_v2.ListObjectsV2Request(bucket="audit-bucket", max_keys=2))
    assert sorted([KEY, *ODD_KEYS]) == [one.key for page in pages for one in page.contents]


def test_versioning_is_told_and_undoes_forbid_overwrite(store):
    bucket = old_client(store)
    bucket.create_bucket()
    assert bucket.get_bucket_versioning().status is None
    bucket.put_object(KEY, BODY, headers=headers())
    for status in ("Enabled", "Suspended"):
        config = oss2.models.BucketVersioningConfig()
        config.status = status
        bucket.put_bucket_versioning(config)
        assert bucket.get_bucket_versioning().status == status
        bucket.put_object(KEY, BODY, headers=headers())


@pytest.mark.parametrize("user, secret, code", [("writer", "wrong", "SignatureDoesNotMatch"),
                                                ("nobody", "any", "InvalidAccessKeyId"),
                                                ("reader", None, "AccessDenied")])
def test_who_may_not_is_refused(store, user, secret, code):
    old_client(store).create_bucket()
    with pytest.raises(oss2.exceptions.ServerError) as error:
        old_client(store, user, secret).put_object(KEY, BODY)
    assert (error.value.status, error.value.code) == (403, code)


def test_a_wrong_digest_and_a_missing_bucket_are_refused(store):
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        old_client(store).put_object(KEY, BODY)
    old_client(store).create_bucket()
    with pytest.raises(oss2.exceptions.ServerError) as error:
        old_client(store).put_object(KEY, BODY + b"!", headers=headers())
    assert (error.value.status, error.value.code) == (400, "InvalidDigest")
