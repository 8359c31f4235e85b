"""What boto3 tries again by itself is done once.

usage: retries.py ENDPOINT-URL TIMES

The appliance behind the endpoint answers some requests with 503, before or after it has made what
was asked for, and has no objects.
"""

import sys

import boto3
from botocore.config import Config

URL, TIMES = sys.argv[1], int(sys.argv[2])
ec2 = boto3.client(
    "ec2", endpoint_url=URL, region_name="us-east-1",
    aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret-of-the-example-key",
    config=Config(retries={"max_attempts": 8, "mode": "standard"}),
)
made, again = [], 0
for _ in range(TIMES):
    answer = ec2.create_traffic_mirror_filter()
    made.append(answer["TrafficMirrorFilter"]["TrafficMirrorFilterId"])
    again += answer["ResponseMetadata"]["RetryAttempts"]
pages = ec2.get_paginator("describe_traffic_mirror_filters").paginate(PaginationConfig={"PageSize": 5})
there = [entry["TrafficMirrorFilterId"] for page in pages for entry in page["TrafficMirrorFilters"]]
assert there == made, f"{made} were answered, {there} are there"
print(f"{len(made)} filters, tried again {again} times")
assert again > TIMES / 4, "there was little to try again"
