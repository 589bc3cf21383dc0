"""Collect the static files into ./staticfiles: Django's own command, whose app nothing else here needs."""

import django
from django.conf import settings
from django.core.management import call_command

if __name__ == "__main__":
    settings.INSTALLED_APPS.append("django.contrib.staticfiles")
    django.setup()
    call_command("collectstatic", interactive=False)
