#!/usr/bin/env python
"""Django's command line. Where the package `local` is, `runserver` brings an AWS along: see local/aws.py."""

import os
import sys
from importlib.util import find_spec

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
    if sys.argv[1:2] == ["runserver"] and find_spec("local"):  # it stays out of the image
        from local import aws

        aws.runserver(sys.argv)
    else:
        execute_from_command_line(sys.argv)
