"""The name under which deployed templates know operations/lambda_handler.py."""

from operations.lambda_handler import handler as handler
