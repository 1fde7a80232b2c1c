"""A real implementation of S3 (moto) on the loopback, which checks signatures.

Prints its URL, an access key and its secret on one line, and serves until its standard
input ends.
"""

import os
import sys

# Four calls set up a user; from then on each request has to be signed by its key.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

import boto3
from moto.server import ThreadedMotoServer

POLICY = """
{"Version": "2012-10-17",
 "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
"""

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
anybody = {"endpoint_url": url, "aws_access_key_id": "none", "aws_secret_access_key": "none"}
iam = boto3.client("iam", **anybody)
iam.create_user(UserName="ragtime")
key = iam.create_access_key(UserName="ragtime")["AccessKey"]
iam.put_user_policy(UserName="ragtime", PolicyName="all", PolicyDocument=POLICY)
boto3.client("s3", **anybody).create_bucket(Bucket="backups")
print(url, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
sys.stdin.read()
server.stop()
