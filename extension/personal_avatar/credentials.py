"""Content credentials (C2PA): a signed statement in a picture's file that a model made it, or changed a part of it.

Written when the package c2pa-python is installed and nobody switched it off. The pixels and the texts of the file stay
as they are. Without a certificate of the owner's, one is made here at first use: it shows whether a file was changed
since, and nothing about who made it, so that readers call it untrusted; its name says so as well.

PERSONAL_AVATAR_C2PA             "off" writes none
PERSONAL_AVATAR_C2PA_CERTIFICATE a PEM file: the signing certificate, then those above it
PERSONAL_AVATAR_C2PA_KEY         a PEM file: its private key
PERSONAL_AVATAR_C2PA_ALGORITHM   es256 (usual), es384, es512, ps256, ps384, ps512 or ed25519
PERSONAL_AVATAR_C2PA_FOLDER      where the certificate that is made here lies; else ~/.personal-avatar/credentials

A picture that was made from one of ours names it as its ingredient; photos of people are never named, not even small.
"""
from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from personal_avatar import __version__
from personal_avatar.provenance import GENERATED
from personal_avatar.storage import replacing

VARIABLE = "PERSONAL_AVATAR_C2PA"
OFF = frozenset({"off", "0", "no", "false"})
PRODUCT = "Personal Avatar"
FORMATS = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))
AVIF = (b"ftypavif", b"ftypavis")
CREATED, EDITED_ACTION, OPENED = "c2pa.created", "c2pa.edited", "c2pa.opened"
# No small copies: that of a picture somebody gave would go out with what was made of it.
PLAIN = {"builder": {"thumbnail": {"enabled": False}}}
MADE_HERE = "certificate-and-key.pem"  # one file, because a key signs for no other certificate than its own
FORMERLY = "certificate.pem", "key.pem"
PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\r?\n?", re.DOTALL)
YEARS = 10
OTHER_USES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only",
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingredient:
    """A picture that another one was made from: the bytes of its file."""

    title: str
    data: bytes


@dataclass(frozen=True)
class Signing:
    """Who signs. `certificate`, `key`: PEM files of the owner's, None for those that are made in `folder`."""

    folder: Path
    certificate: Path | None = None
    key: Path | None = None
    algorithm: str = "es256"

    @property
    def is_own(self) -> bool:
        """Whether the certificate is the owner's, which readers may trust."""
        return self.certificate is not None or self.key is not None

    def files(self) -> tuple[bytes, bytes]:
        """Certificates and private key, both PEM; makes those of this machine when there are none."""
        if self.is_own:
            if self.certificate is None or self.key is None:
                raise ValueError(f"{VARIABLE}_CERTIFICATE and {VARIABLE}_KEY go together, and only one of them is set")
            return self.certificate.read_bytes(), self.key.read_bytes()
        return self._made_here() or self._make()

    def _made_here(self) -> tuple[bytes, bytes] | None:
        """None when nothing was made yet, or when it was damaged."""
        try:
            blocks = list(PEM_BLOCK.finditer((self.folder / MADE_HERE).read_bytes()))
        except OSError:
            return None
        certificates = b"".join(block[0] for block in blocks if block[1] == b"CERTIFICATE")
        keys = [block[0] for block in blocks if block[1].endswith(b"PRIVATE KEY")]
        return (certificates, keys[0]) if certificates and keys else None

    def _make(self) -> tuple[bytes, bytes]:
        """Where several processes do so at once, each has a pair that belongs together, and the last one's stays."""
        made = local_certificate()
        write_private(self.folder / MADE_HERE, b"".join(made))
        for name in FORMERLY:
            (self.folder / name).unlink(missing_ok=True)
        return made


def installed() -> bool:
    return find_spec("c2pa") is not None


def configured(environment: Mapping[str, str] = os.environ) -> Signing | None:
    """As the owner wants it; None when credentials are switched off or cannot be written here."""
    if environment.get(VARIABLE, "").strip().lower() in OFF or not installed():
        return None
    folder = environment.get(f"{VARIABLE}_FOLDER", "") or Path.home() / ".personal-avatar" / "credentials"
    files = (environment.get(f"{VARIABLE}_{name}", "") for name in ("CERTIFICATE", "KEY"))
    certificate, key = (Path(path).expanduser() if path else None for path in files)
    algorithm = environment.get(f"{VARIABLE}_ALGORITHM", "").strip().lower() or "es256"
    return Signing(Path(folder).expanduser(), certificate, key, algorithm)


def format_of(data: bytes) -> str:
    """The media type of a picture's file that can carry credentials; "" for others."""
    if data[4:12] in AVIF:
        return "image/avif"
    return next((kind for start, kind in FORMATS if data.startswith(start)), "")


def signed(
    data: bytes, signing: Signing | None, source: str = GENERATED, title: str = "",
    made_from: Sequence[Ingredient] = (),
) -> bytes:
    """The same file with credentials as its last word; unchanged when that cannot be done, which is logged.

    `data`: a whole PNG, JPEG, WebP or AVIF file; `source`: `GENERATED` or `EDITED`; what is changed afterwards, be it
    a text, breaks the seal.
    """
    kind = format_of(data)
    if signing is None or not kind:
        return data
    try:
        return _signed(data, kind, signing, manifest(source, title, kind, made_from), made_from)
    except Exception as error:  # noqa: BLE001  a library's own errors; a picture without credentials is a picture
        log.warning("No content credentials were written: %s", error)
        return data


def _signed(
    data: bytes, kind: str, signing: Signing, document: dict[str, Any], made_from: Sequence[Ingredient]
) -> bytes:
    from c2pa import Builder, C2paSignerInfo, Context, Signer

    certificate, key = signing.files()
    target, info = io.BytesIO(), C2paSignerInfo(signing.algorithm.encode(), certificate, key, None)
    with (
        Signer.from_info(info) as signer,
        Context.from_dict(PLAIN) as context,
        Builder(json.dumps(document), context) as builder,
    ):
        for one in made_from:
            parts = {"title": one.title, "relationship": "parentOf", "instance_id": one.title}
            builder.add_ingredient(json.dumps(parts), format_of(one.data), io.BytesIO(one.data))
        builder.sign(signer, kind, io.BytesIO(data), target)
    return target.getvalue()


def manifest(source: str, title: str, kind: str, made_from: Sequence[Ingredient] = ()) -> dict[str, Any]:
    """What is stated, in the words of the C2PA specification 2: actions, their agent, the digital source type."""
    agent = {"name": PRODUCT, "version": __version__}
    first: dict[str, Any] = {"action": OPENED if made_from else CREATED, "softwareAgent": agent}
    if made_from:
        first["parameters"] = {"ingredientIds": [one.title for one in made_from]}
    else:
        first["digitalSourceType"] = source
    actions = [first]
    if made_from:
        actions.append({"action": EDITED_ACTION, "softwareAgent": agent, "digitalSourceType": source})
    return {
        "claim_generator_info": [{"name": PRODUCT, "version": __version__}],
        "title": title or "picture",
        "format": kind,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def write_private(path: Path, data: bytes) -> None:
    """Write what only its owner may read, at no moment anybody else."""
    with replacing(path) as part, os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)


def local_certificate() -> tuple[bytes, bytes]:
    """(certificates, private key) in PEM, ES256, with an authority of its own that is thrown away at once.

    C2PA takes no certificate that is its own authority, so there are two; nobody can sign another one with the first.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    top = _certificate(f"{PRODUCT} (untrusted, made on this machine)", authority, authority, "", is_authority=True)
    leaf = _certificate(f"{PRODUCT} on this machine (untrusted)", own, authority, top, is_authority=False)
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return leaf.public_bytes(pem) + top.public_bytes(pem), key


def _certificate(name: str, owner: Any, authority: Any, above: Any, *, is_authority: bool) -> Any:
    """X.509 as the C2PA specification 2.1 wants it, chapter 14.5; `above`: the certificate of the authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(text: str) -> x509.Name:
        return x509.Name([
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, PRODUCT), x509.NameAttribute(NameOID.COMMON_NAME, text),
        ])

    now = datetime.now(timezone.utc)
    usage = dict.fromkeys(OTHER_USES, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name)).issuer_name(above.subject if above else named(name))
        .public_key(owner.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(
            digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, **usage
        ), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(authority, hashes.SHA256())
