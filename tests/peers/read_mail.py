"""Reads a mail from standard input with Python's own parser and prints what it found as JSON."""

import email
import email.policy
import json
import sys

mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = [
    {"type": part.get_content_type(), "text": part.get_content()} for part in mail.walk() if not part.is_multipart()
]
headers = [[name, str(value)] for name, value in mail.items()]
print(json.dumps({"type": mail.get_content_type(), "headers": headers, "parts": parts, "defects": len(mail.defects)}))
