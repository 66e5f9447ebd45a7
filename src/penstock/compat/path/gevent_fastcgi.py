"""This file is the module `gevent_fastcgi` for programs that have this folder on their path."""

from penstock.compat.aliases import become

become(__name__)
