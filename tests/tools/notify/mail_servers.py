"""The sandbox's mail server in the test's own process, with certificates of its own."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.app import create_app
from sandbox.smtp import HOST, Manners, SmtpServer


@dataclass
class MailHost:
    """``taken``: sender, recipients and content of each mail."""

    port: int
    server: SmtpServer
    taken: list[tuple[str, list[str], bytes]] = field(default_factory=list)

    def manners(self, **kept: object) -> None:
        self.server.manners = Manners(**kept)  # type: ignore[arg-type]


@asynccontextmanager
async def mail_host(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False
) -> AsyncIterator[MailHost]:
    taken: list[tuple[str, list[str], bytes]] = []

    def take(sender: str, recipients: list[str], content: bytes) -> None:
        taken.append((sender, recipients, content))

    server = SmtpServer(create_app().sandbox, "mail", take, tls=tls, implicit=implicit)
    try:
        yield MailHost(await server.start(), server, taken)
    finally:
        await server.stop()
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Certificates:
    """``server`` shows a certificate for 127.0.0.1 that ``authority``, a file, vouches for."""

    server: ssl.SSLContext
    authority: Path

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def certificates(folder: Path) -> Certificates:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    shown, kept = folder / "cert.pem", folder / "key.pem"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kept.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown, kept)
    return Certificates(context, shown)
