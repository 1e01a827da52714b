"""The clients that there are, each as sdk.Caller: the same call by another SDK, signature and place of parameters."""
import importlib
import json
import time

from alibabacloud_tea_openapi import models as openapi
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from darabonba.runtime import RuntimeOptions

import sdk

SPELLED = {"event_rw": "EventRW"}


def spelled(name):
    """Of a parameter, as it is on the wire."""
    return SPELLED.get(name) or "".join(part.capitalize() for part in name.split("_"))


def token_of(account):
    """For sdk.Caller(…, **token_of(account)): the security token, when the key is a temporary one."""
    return {"security_token": account["securityToken"]} if "securityToken" in account else {}


class Acs3(sdk.Caller):
    """The Python SDK as it is: ACS3-HMAC-SHA256, parameters in the query."""

    def __init__(self, endpoint, account, **how):
        super().__init__(endpoint, account, **token_of(account), **how)


class V1(Acs3):
    """The same SDK, told to sign as older ones do: HMAC-SHA1, everything in the query."""

    def __init__(self, endpoint, account, **how):
        super().__init__(endpoint, account, signature_algorithm="v2", **how)


class Patient(sdk.Caller):
    """For those that make requests in another way: once(action, parameters), again and again while it is throttled."""

    def __call__(self, action, **parameters):
        until = time.monotonic() + sdk.PATIENCE_S
        while True:
            try:
                return self.once(action, {name: value for name, value in parameters.items() if value is not None})
            except AlibabaCloudException as error:
                if error.code != "Throttling.User" or not self.patient or time.monotonic() > until:
                    raise
            time.sleep(0.1)


class Form(Patient):
    """Parameters in a form body, as Go's and Java's generic calls and Terraform send them; signed with ACS3."""

    signature = None

    def __init__(self, endpoint, account, **how):
        super().__init__(endpoint, account, signature_algorithm=self.signature, **token_of(account), **how)

    def once(self, action, parameters):
        body = {}
        for name, value in parameters.items():
            if name == "lookup_attribute":
                for number, one in enumerate(value, 1):
                    body |= {f"LookupAttribute.{number}.Key": one.key, f"LookupAttribute.{number}.Value": one.value}
            else:
                body[spelled(name)] = str(value).lower() if isinstance(value, bool) else str(value)
        how = openapi.Params(action=action, version=sdk.VERSION, protocol="HTTP", pathname="/", method="POST",
                             auth_type="AK", style="RPC", req_body_type="formData", body_type="json")
        return self.client.call_api(how, openapi.OpenApiRequest(body=body), RuntimeOptions())["body"]


class V1Form(Form):
    """The same, signed with V1."""

    signature = "v2"


class Old(Patient):
    """aliyun-python-sdk-actiontrail: V1, everything in the query, and headers that look like ACS3's."""

    def __init__(self, endpoint, account, patient=True):  # its client is another one: no super().__init__()
        self.account, self.patient, self.endpoint = account, patient, endpoint
        made = (StsTokenCredential(account["accessKeyId"], account["accessKeySecret"], account["securityToken"])
                if "securityToken" in account
                else AccessKeyCredential(account["accessKeyId"], account["accessKeySecret"]))
        self.client = AcsClient(region_id="cn-hangzhou", credential=made)

    def once(self, action, parameters):
        request = getattr(importlib.import_module(f"aliyunsdkactiontrail.request.v20200706.{action}Request"),
                          f"{action}Request")()
        request.set_endpoint(self.endpoint)
        for name, value in parameters.items():
            if name == "lookup_attribute":
                request.set_LookupAttributes([{"Key": one.key, "Value": one.value} for one in value])
            else:
                getattr(request, f"set_{spelled(name)}")(value)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except ServerException as error:
            raise AlibabaCloudException(code=error.error_code, status_code=error.http_status, message=error.message,
                                        request_id=error.request_id) from error


FAMILIES = [Acs3, V1, Form, V1Form, Old]
