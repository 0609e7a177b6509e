"""Tianwang's tasks: received, watched for, acted on, ended."""
