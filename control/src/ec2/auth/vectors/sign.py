"""Signs odd requests with botocore, and writes them as they go on the wire.

    python3 sign.py > signed.json

The date is fixed, so that the file only changes with the requests below or with what botocore makes of them.
"""

import datetime
import json
import sys
from urllib.parse import urlsplit

import botocore
import botocore.auth
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime.datetime(2026, 11, 23, 14, 25, 16)
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
URL = "http://127.0.0.1:8440/"
botocore.auth.get_current_datetime = lambda: NOW

# What stands in values, names and bodies: each as a value and as a name.
WORDS = {
    "plain": "web", "space": "a b", "spaces": "  a   b  ", "plus": "a+b", "tilde": "~a~", "empty": "", "percent": "100%",
    "escape": "%41%2f", "slash": "a/b//c", "equals": "a=b==", "ampersand": "a&b", "question": "a?b", "hash": "a#b",
    "umlaut": "\u00e4\u00d6\u00df", "kanji": "\u9632\u706b\u5899", "emoji": "\U0001f9f1", "combining": "e\u0301", "quote": "'\"`",
    "brackets": "[]{}()<>", "star": "a*b?", "unreserved": "-_.~", "colon": "tag:env", "semicolon": "a;b", "comma": "a,b",
    "backslash": "a\\b", "newline": "a\nb", "return": "a\r\nb", "tab": "a\tb", "nul": "a\0b", "long": "x" * 3000, "at": "@$!^|",
}


def on_the_wire(name, request):
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = [[k, v if isinstance(v, str) else v.decode()] for k, v in prepared.headers.items()]
    if not any(k.lower() == "host" for k, _ in headers):
        headers.append(["Host", botocore.auth._host_from_url(prepared.url)])  # as urllib3 has it: in lower case
    body = prepared.body or b""
    body = body if isinstance(body, str) else body.decode()
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    return {"name": name, "method": prepared.method, "target": target, "headers": headers, "body": body}


def signed(name, method="POST", url=URL, headers=(), region="us-east-1", expires=None, **rest):
    request = AWSRequest(method=method, url=url, headers=dict(FORM, **dict(headers)) if method == "POST" else dict(headers), **rest)
    if expires:
        SigV4QueryAuth(KEY, "ec2", region, expires=expires).add_auth(request)
    else:
        SigV4Auth(KEY, "ec2", region).add_auth(request)
    return on_the_wire(name, request)


def vectors():
    ask = {"Action": "DescribeTags", "Version": "2016-11-15"}
    for name, word in WORDS.items():
        yield signed(f"post value {name}", data=dict(ask, **{"Filter.1.Value.1": word}))
        yield signed(f"get value {name}", "GET", params=dict(ask, **{"Filter.1.Value.1": word}))
        yield signed(f"presigned value {name}", "GET", params=dict(ask, **{"Filter.1.Value.1": word}), expires=60)
        yield signed(f"get name {name}", "GET", params=dict(ask, **{"n" + word: "v"}))
    yield signed("presigned from a form", "POST", data=dict(ask, A="a b+c"), expires=604800)
    yield signed("presigned in another region", "GET", params=ask, region="eu-central-1", expires=1)
    yield signed("another region", data=ask, region="ap-southeast-2")
    yield signed("no body", "POST", data=b"")
    yield signed("a body that is no form", data=b"{\"a\": [1, 2]}\n\n", headers={"Content-Type": "application/json"})
    yield signed("a body of UTF-8", data="Action=\u00e4".encode())
    for raw in ["A=1&A=2&A=1", "b=2&a=1&B=3&a=0", "a", "a=", "=a", "a=b=c", "a&b&a", "a=1&&b=2", "&a=1", "a=1&", "a=x+y", "a=x*y",
                "a=%7e~", "a=%c3%a4", "a=%C3%A4", "a-b=1&a.b=2&a_b=3&a=4", "a=%2B&a=+", "Z=1&z=2&0=3&%41=4", "a=;,/?:@"]:
        yield signed(f"query as it is: {raw}", "GET", url=URL + "?" + raw)
        yield signed(f"posted query as it is: {raw}", "POST", url=URL + "?" + raw, data={"Action": "DescribeTags"})
    for raw in ["A=1&A=2&A=1", "b=2&a=1&B=3", "a=x%20y&c=%7E"]:
        yield signed(f"presigned query as it is: {raw}", "GET", url=URL + "?" + raw, expires=900)
    for name, value in {"spaces": "a   b", "around": "  a b  ", "tabs": "a\t\tb", "quoted": "\"a   b\"", "empty": "",
                        "odd": "a;b,c=d"}.items():
        yield signed(f"a header with {name}", data=ask, headers={"X-Amz-Meta": value, "My-Header": value})
    twice = AWSRequest(method="GET", url=URL + "?Action=DescribeTags")
    for value in ["b", " a ", "b  c"]:
        twice.headers.add_header("X-Twice", value)
    SigV4Auth(KEY, "ec2", "us-east-1").add_auth(twice)
    yield dict(on_the_wire("a header thrice", twice), headers=[list(pair) for pair in twice.headers.items()] + [["Host", "127.0.0.1:8440"]])
    yield signed("a Date header", data=ask, headers={"Date": "Mon, 23 Nov 2026 00:00:00 GMT"})
    for host in ["example.com", "example.com:443", "[::1]:8440", "EXAMPLE.com:8440"]:
        yield signed(f"host {host}", data=ask, url=f"http://{host}/")
    yield signed("no path", data=ask, url="http://127.0.0.1:8440")
    for path in ["//", "/./", "/a/../", "/a%20b", "/%C3%A4", "/a//b/./c/../d/", "/~a-b_c.d", "/a:b@c"]:
        yield signed(f"path {path}", "GET", url="http://127.0.0.1:8440" + path)


json.dump({"botocore": botocore.__version__, "vectors": list(vectors())}, sys.stdout, indent=1)
print()
