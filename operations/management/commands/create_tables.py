from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.models import Session
from aws import bucket
from aws.dynamo import create_table
from recordings.models import Change, Recording


class Command(BaseCommand):
    help = "Make the tables, the bucket and its CORS at the configured endpoint. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        create_table(Session, Recording, Change)
        bucket.create_bucket([settings.PUBLIC_URL, *settings.CORS_ALLOWED_ORIGINS])
        self.stdout.write(f"Tables and bucket {settings.RECORDINGS_BUCKET} are ready.")
