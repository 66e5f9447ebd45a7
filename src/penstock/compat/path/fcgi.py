"""This file is the module `fcgi` for programs that have this folder on their path."""

from penstock.compat.aliases import become

become(__name__)
