"""A mail server to test against: keeps mails as files, and refuses some of them.

usage: mail_server.py DIRECTORY [USER PASSWORD]
Prints its port, then serves until its standard input ends.
"""

import itertools
import logging
import pathlib
import sys
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

REFUSED = {
    "unknown": "550 5.1.1 No such user here",
    "greylisted": "451 4.7.1 Come back later",
    "full": "452 4.2.2 Mailbox full",
    "policy": "550 5.7.1 Not from you",
}


class Keeper:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.numbers = itertools.count()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name in REFUSED:
            return REFUSED[name]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("big@"):
            return "552 5.3.4 Message too big"
        path = self.directory / f"{next(self.numbers)}.part"
        path.write_bytes(envelope.content)
        path.rename(path.with_suffix(".eml"))
        return "250 2.0.0 Kept"


class Local(Controller):
    """Finds a free port by itself."""

    def factory(self):
        return SMTP(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def main():
    # It warns of passwords without TLS; here nothing leaves the machine.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    directory, *sign_in = sys.argv[1:]
    options = {}
    if sign_in:
        expected = tuple(text.encode() for text in sign_in)

        def authenticate(server, session, envelope, mechanism, data):
            return AuthResult(success=(data.login, data.password) == expected, handled=False)

        options = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
    controller = Local(Keeper(directory), hostname="127.0.0.1", port=0, **options)
    controller.start()
    print(controller.port, flush=True)
    sys.stdin.read()
    controller.stop()


main()
