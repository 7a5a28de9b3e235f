"""Ways to be let in by a NATS server: what the server is configured with, and what a client must have."""

from __future__ import annotations

import base64
import json
import os
import ssl
from pathlib import Path

import attrs
import nkeys
import trustme


@attrs.frozen
class Way:
    """One way to be let in.

    Attributes:
        configuration: Text for the server's configuration.
        options: Arguments of `NatsJournal` that are right.
        wrong: The same, but wrong.
        none: The same, but without what lets in.
        environment: The same as `options`, as variables.
        address: The same as `options`, in an address; `{}` is the host and port.
        secrets: Texts that must be seen nowhere.
    """

    configuration: str
    options: dict[str, object]
    wrong: dict[str, object]
    environment: dict[str, str]
    address: str
    secrets: tuple[str, ...]
    none: dict[str, object] = attrs.field(factory=dict)


def seed(prefix: int) -> bytes:
    """Return the seed of a new key."""
    return nkeys.encode_seed(os.urandom(32), prefix)


def public(secret: bytes) -> str:
    """Return the public key of a seed."""
    return nkeys.from_seed(bytearray(secret)).public_key.decode()


def written(path: Path, text: str) -> str:
    """Write a file that only its owner reads, and return its path."""
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def password(place: Path) -> Way:
    """A user with a password that has everything in it that addresses give a meaning to."""
    secret = "p@ss:w/o?rd%20,secret"
    return Way(
        configuration=f'authorization {{ user: "titan", password: "{secret}" }}',
        options={"user": "titan", "password": secret},
        wrong={"user": "titan", "password": "another-secret"},
        environment={"NATS_USER": "titan", "NATS_PASSWORD": secret},
        address="nats://titan:p%40ss%3Aw%2Fo%3Frd%2520%2Csecret@{}",
        secrets=(secret, "another-secret", "p%40ss%3Aw%2Fo%3Frd%2520%2Csecret"),
    )


def token(place: Path) -> Way:
    """A token."""
    return Way(
        configuration='authorization { token: "token-that-is-secret" }',
        options={"token": "token-that-is-secret"},
        wrong={"token": "another-secret"},
        environment={"NATS_TOKEN": "token-that-is-secret"},
        address="nats://token-that-is-secret@{}",
        secrets=("token-that-is-secret", "another-secret"),
    )


def nkey(place: Path) -> Way:
    """An nkey: the server knows the public part only."""
    right, wrong = seed(nkeys.PREFIX_BYTE_USER), seed(nkeys.PREFIX_BYTE_USER)
    file = written(place / "right.nk", right.decode())
    return Way(
        configuration=f"authorization {{ users: [ {{ nkey: {public(right)} }} ] }}",
        options={"nkey": file},
        wrong={"nkey": written(place / "wrong.nk", wrong.decode())},
        environment={"NATS_NKEY": file},
        address=f"nats://{{}}?nkey={file}",
        secrets=(right.decode(), wrong.decode()),
    )


def creds(place: Path) -> Way:
    """Credentials of a user of an account of an operator, as `nsc` makes them."""
    operator, account, system = (
        seed(nkeys.PREFIX_BYTE_OPERATOR),
        seed(nkeys.PREFIX_BYTE_ACCOUNT),
        seed(nkeys.PREFIX_BYTE_ACCOUNT),
    )
    foreign = seed(nkeys.PREFIX_BYTE_ACCOUNT)  # of another operator
    told = jwt(operator, public(operator), {"type": "operator"}, "operator")
    accounts = "\n".join(
        f"{public(one)}: {jwt(operator, public(one), {'type': 'account', 'limits': limits}, name)}"
        for one, limits, name in ((account, UNLIMITED | STORAGE, "shop"), (system, UNLIMITED, "SYS"))
    )
    right, wrong = user_file(account), user_file(foreign)
    file = written(place / "right.creds", right)
    return Way(
        configuration=f"operator: {told}\nsystem_account: {public(system)}\nresolver: MEMORY\n"
        f"resolver_preload {{\n{accounts}\n}}",
        options={"creds": file},
        wrong={"creds": written(place / "wrong.creds", wrong)},
        environment={"NATS_CREDS": file},
        address=f"nats://{{}}?creds={file}",
        secrets=tuple(line for text in (right, wrong) for line in text.splitlines() if len(line) > 50),
    )


def certificate(place: Path) -> Way:
    """TLS on both sides: the server's certificate is of a CA of our own, and so must the client's be."""
    ours, theirs = trustme.CA(), trustme.CA()
    server, right, wrong = ours.issue_cert("127.0.0.1"), ours.issue_cert("titan"), theirs.issue_cert("titan")
    ca = pem(place / "ca.pem", ours.cert_pem)
    cert, key = pem(place / "right.pem", *right.cert_chain_pems), pem(place / "right.key", right.private_key_pem)
    served, kept = pem(place / "server.pem", *server.cert_chain_pems), pem(place / "server.key", server.private_key_pem)
    foreign = pem(place / "wrong.pem", *wrong.cert_chain_pems), pem(place / "wrong.key", wrong.private_key_pem)
    secrets = [Path(one).read_text().splitlines()[1] for one in (key, foreign[1])]
    return Way(
        configuration=f'tls {{ cert_file: "{served}", key_file: "{kept}", ca_file: "{ca}", verify: true }}',
        options={"tls": context(ca, cert, key)},
        wrong={"tls": context(ca, *foreign)},
        none={"tls": context(ca)},
        environment={"NATS_CA": ca, "NATS_CERT": cert, "NATS_KEY": key},
        address=f"tls://{{}}?ca={ca}&cert={cert}&key={key}",
        secrets=tuple(secrets),
    )


WAYS = (password, token, nkey, creds, certificate)

UNLIMITED = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1) | {"wildcards": True}
STORAGE = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
"""JetStream, which the system's own account must not have."""


def context(ca: str, *chain: str) -> ssl.SSLContext:
    """Return what a client knows servers by, and is known by."""
    made = ssl.create_default_context(cafile=ca)
    if chain:
        made.load_cert_chain(*chain)
    return made


def pem(path: Path, *blobs: trustme.Blob) -> str:
    """Write certificates, or a key, and return the path."""
    return written(path, "".join(blob.bytes().decode() for blob in blobs))


def jwt(issuer: bytes, subject: str, claims: dict[str, object], name: str) -> str:
    """Return a JWT as NATS has it: signed with an nkey."""
    pair = nkeys.from_seed(bytearray(issuer))
    body = {
        "jti": os.urandom(16).hex(),
        "iat": 1_750_000_000,
        "iss": pair.public_key.decode(),
        "name": name,
        "sub": subject,
        "nats": claims | {"version": 2},
    }
    text = ".".join(map(encoded, ({"typ": "JWT", "alg": "ed25519-nkey"}, body)))
    return f"{text}.{base64.urlsafe_b64encode(pair.sign(text.encode())).rstrip(b'=').decode()}"


def encoded(told: dict[str, object]) -> str:
    """Return a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()


def user_file(account: bytes) -> str:
    """Return the file of credentials of a new user of an account."""
    secret = seed(nkeys.PREFIX_BYTE_USER)
    claims = {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt(account, public(secret), claims, 'titan')}\n"
        "------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{secret.decode()}\n------END USER NKEY SEED------\n"
    )
