#!/usr/bin/env python3

# A CGI script with fastai's decorator.
from fastcgi import *


@fastcgi("decorator.sock")
def hello():
    print("Content-Type: text/plain\n")
    print("query:", os.environ["QUERY_STRING"], "body:", sys.stdin.read())
