"""An S3 service that is not ours, moto, with the product files in a bucket; it checks signatures and rights.

    s3.py PORT FILES PREFIX DATA

Puts all files below FILES into the bucket `products` as PREFIX and their path; those that items give an `s3://` address
for (see make_items.py) as that says. Then only the user `reader` may get
them, with the keys of DATA/s3-keys (0600); DATA/s3-wrong has keys that nobody has. Prints `ready` and serves until
standard input ends. DATA/s3.log has a line for each request: method, status, peak of requests at once so far, range,
path.
"""

import logging
import os
import pathlib
import sys
import threading

import boto3
from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

# Files of this name have an `s3://` address, with `exact/` before their path.
EXACT = "B08.tif"
POLICY = """{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::products/*"}]}"""


class Journal:
    """Counts what passes through, until its last byte was taken."""

    def __init__(self, app, path):
        self.app, self.file, self.lock = app, open(path, "w", buffering=1), threading.Lock()
        self.now = self.peak = 0

    def __call__(self, environ, start_response):
        status = []

        def start(line, headers, *rest):
            status.append(line.split()[0])
            return start_response(line, headers, *rest)

        with self.lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        try:
            yield from self.app(environ, start)
        finally:
            with self.lock:
                self.now -= 1
                line = [environ["REQUEST_METHOD"], *status[:1], str(self.peak), environ.get("HTTP_RANGE", "-")]
                print(*line, environ["PATH_INFO"], file=self.file)


def keys_file(path, access, secret):
    path.unlink(missing_ok=True)
    text = f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


def main(port, files, prefix, data):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Journal(DomainDispatcherApplication(create_backend_app), data / "s3.log")
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    own = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1",
           "aws_access_key_id": "owner", "aws_secret_access_key": "owner"}
    s3, iam = boto3.client("s3", **own), boto3.client("iam", **own)
    s3.create_bucket(Bucket="products")
    for path in sorted(files.rglob("*")):
        if path.is_file():
            place = "exact/" if path.name == EXACT else prefix
            s3.put_object(Bucket="products", Key=place + str(path.relative_to(files)), Body=path.read_bytes())
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=POLICY)
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    keys_file(data / "s3-keys", keys["AccessKeyId"], keys["SecretAccessKey"])
    keys_file(data / "s3-wrong", keys["AccessKeyId"], "0" * 40)
    # From here on every request is checked.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4]))
