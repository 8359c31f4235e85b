"""Calls the server at AWS_ENDPOINT_URL with boto3 in every way that it signs."""

import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

once = Config(retries={"total_max_attempts": 1})
ec2 = boto3.client("ec2", config=once)


def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("it was answered")


def fetch(url, method, data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


odd = [{"Name": "tag:a b+c~", "Values": ["", " ", "\u00e4\u9632\U0001f9f1", "a&b=c", "%41", "*?", "-_.~/:"]}]
reply = ec2.describe_tags(Filters=odd)
assert reply["Tags"] == []
meta = reply["ResponseMetadata"]
assert meta["RequestId"] == meta["HTTPHeaders"]["x-amzn-requestid"], meta

url = ec2.generate_presigned_url("describe_tags", Params={"Filters": odd}, ExpiresIn=60, HttpMethod="GET")
assert fetch(url, "GET")[0] == 200
assert fetch(url, "POST")[0] == 401
assert fetch(url + "&More=1", "GET")[0] == 401
assert fetch(url.replace("Expires=60", "Expires=61"), "GET")[0] == 401
url = ec2.generate_presigned_url("describe_tags", ExpiresIn=60)
assert fetch(url, "POST", b"")[0] == 200
status, body = fetch(url, "POST", b"Action=DeleteTags")
assert status == 401, body

anywhere = boto3.client("ec2", region_name="eu-central-1", config=once)
assert anywhere.describe_tags()["Tags"] == []
own = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
token = boto3.client("ec2", aws_access_key_id=own[0], aws_secret_access_key=own[1], aws_session_token="t", config=once)
assert refusal(token.describe_tags) == ("InvalidClientTokenId", 403)
wrong = boto3.client("ec2", aws_access_key_id=own[0], aws_secret_access_key="wrong", config=once)
assert refusal(wrong.describe_tags) == ("AuthFailure", 401)
print("all as expected")
