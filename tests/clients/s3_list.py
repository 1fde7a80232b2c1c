"""Lists the keys of the bucket `backups`, one a line."""

import boto3

pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="backups")
for page in pages:
    for found in page.get("Contents", []):
        print(found["Key"])
