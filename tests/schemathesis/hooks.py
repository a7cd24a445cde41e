"""What schemathesis cannot read in the API document: how to log in, and how to write NDJSON.

`cargo xtask test contract` names this module in SCHEMATHESIS_HOOKS.
"""

import json
import os
import secrets

import requests
import schemathesis

URL = os.environ["CONTRACT_URL"]
OPERATOR_TOKEN = os.environ["CONTRACT_OPERATOR_TOKEN"]
PASSWORD = "Contract-Test-4711!"

# Calls that may end the session. Each gets a session of its own, because other calls run at the same time.
ENDS_SESSION = {
    ("POST", "/auth/logout"),
    ("POST", "/auth/logout-all"),
    ("DELETE", "/auth/sessions/{id}"),
    ("DELETE", "/auth/me"),
    ("PUT", "/auth/password"),
}

# Calls that need the password once more, and its field.
CONFIRMED_BY = {
    ("DELETE", "/auth/me"): "password",
    ("PUT", "/auth/password"): "current_password",
}


def log_in():
    """Registers an account, stores an entry, and returns the tokens of a login."""
    credentials = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
    requests.post(f"{URL}/auth/register", json=credentials, timeout=30).raise_for_status()
    response = requests.post(f"{URL}/auth/login", json=credentials, timeout=30)
    response.raise_for_status()
    return response.json()


@schemathesis.auth(refresh_interval=None)
class Session:
    """Adds the token that the operation needs."""

    tokens = None

    def get(self, case, context):
        if case.operation.path.startswith("/internal/"):
            return OPERATOR_TOKEN
        if (case.operation.method.upper(), case.operation.path) in ENDS_SESSION:
            return log_in()["access_token"]
        Session.tokens = Session.tokens or log_in()
        kind = "refresh_token" if case.operation.path == "/auth/refresh" else "access_token"
        return Session.tokens[kind]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def map_body(context, body):
    """Puts the right password into half of the confirmations, which no generated one would be."""
    field = CONFIRMED_BY.get((context.operation.method.upper(), context.operation.path))
    guess = body.get(field) if field and isinstance(body, dict) else None
    if isinstance(guess, str) and len(guess) % 2 == 1:
        return {**body, field: PASSWORD}
    return body


@schemathesis.hook
def filter_headers(context, headers):
    """Skips values that are not UTF-8: Spin answers these with an empty 500 before it calls a component."""
    return all(str(value).isascii() for value in (headers or {}).values())


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="surrogatepass")
