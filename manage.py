#!/usr/bin/env python
"""Django's command line. `runserver` brings an AWS along: see recorder_project/localaws.py."""

import os
import sys

from django.core.management import execute_from_command_line

from recorder_project import localaws

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
    if sys.argv[1:2] == ["runserver"]:
        localaws.runserver(sys.argv)
    else:
        execute_from_command_line(sys.argv)
