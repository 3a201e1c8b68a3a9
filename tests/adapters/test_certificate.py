"""What is said of a certificate and a key that can't be used, and of those that can."""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path

import pytest

from neurolink_mitm.adapters.certificate import Certificate, CertificateError, read_certificate
from neurolink_mitm.core.settings.listen import Listen
from tests.certificates import NAMES, make_pair

PAIR = Listen(cert="tls.crt", key="tls.key")


def read(folder: Path, listen: Listen = PAIR) -> Certificate:
    certificate = read_certificate(listen, folder, time.time())
    assert certificate
    return certificate


def faults(folder: Path, listen: Listen = PAIR) -> list[str]:
    with pytest.raises(CertificateError) as refused:
        read(folder, listen)
    return [each.replace(f"{folder}/", "") for each in refused.value.faults]


def test_none_is_plain_http(tmp_path: Path) -> None:
    assert read_certificate(Listen(hosts=("a",)), tmp_path, 0) is None


def test_a_good_one(tmp_path: Path) -> None:
    fingerprint = make_pair(tmp_path)
    certificate = read(tmp_path)
    assert certificate.fingerprint == fingerprint
    assert sorted(certificate.names) == sorted(NAMES)
    assert certificate.self_signed
    assert certificate.warnings == ()
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert str(tmp_path / "tls.crt") == certificate.path


@pytest.mark.parametrize("with_root", [True, False])
def test_a_small_authority_is_trusted_if_the_file_has_it(tmp_path: Path, with_root: bool) -> None:
    make_pair(tmp_path, "authority")
    make_pair(tmp_path, authority="authority")
    if with_root:
        chain = tmp_path / "tls.crt"
        chain.write_bytes(chain.read_bytes() + (tmp_path / "authority.crt").read_bytes())
    assert read(tmp_path).self_signed is with_root


@pytest.mark.parametrize(
    ("listen", "fault"),
    [
        (Listen(cert="tls.crt"), "listen.key: must be set, too: the private key of listen.cert"),
        (Listen(key="tls.key"), "listen.cert: must be set, too: the certificate of listen.key"),
    ],
    ids=["no key", "no certificate"],
)
def test_one_of_both(tmp_path: Path, listen: Listen, fault: str) -> None:
    assert faults(tmp_path, listen) == [fault]


NO_CERT = "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
NO_KEY = "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAA\n", None])
def test_both_files_are_told_of(tmp_path: Path, content: bytes | None) -> None:
    cert, key = NO_CERT, NO_KEY
    for name in ("tls.crt", "tls.key"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    if content is None:
        cert = key = "no such file"
    assert faults(tmp_path) == [f"listen.cert: tls.crt: {cert}", f"listen.key: tls.key: {key}"]


def test_files_that_are_exchanged(tmp_path: Path) -> None:
    make_pair(tmp_path)
    swapped = Listen(cert="tls.key", key="tls.crt")
    assert faults(tmp_path, swapped) == [
        f"listen.cert: tls.key: {NO_CERT}",
        f"listen.key: tls.crt: {NO_KEY}",
    ]


def test_a_key_of_another_one(tmp_path: Path) -> None:
    make_pair(tmp_path)
    make_pair(tmp_path, "other")
    assert faults(tmp_path, Listen(cert="tls.crt", key="other.key")) == [
        "listen.key: other.key: is not the key of the first certificate in tls.crt"
    ]


def test_an_encrypted_key(tmp_path: Path) -> None:
    make_pair(tmp_path, password=b"secret")
    [fault] = faults(tmp_path)
    assert fault.startswith("listen.key: tls.key: is encrypted")


def test_no_file(tmp_path: Path) -> None:
    make_pair(tmp_path)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert faults(tmp_path, Listen(cert="pipe", key="fifo")) == [
        "listen.cert: pipe: is no file",
        "listen.key: fifo: is no file",
    ]


@pytest.mark.parametrize(
    ("days", "warning"),
    [((-9, -2), "has expired on"), ((2, 90), "is not valid before"), ((-2, 9.9), "in 10 days")],
)
def test_one_out_of_its_time_is_used_with_a_warning(
    tmp_path: Path, days: tuple[float, float], warning: str
) -> None:
    make_pair(tmp_path, days=days)
    [told] = read(tmp_path).warnings
    assert warning in told


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 1), (0o644, 1)])
def test_a_key_that_others_may_read(tmp_path: Path, mode: int, told: int) -> None:
    make_pair(tmp_path)
    (tmp_path / "tls.key").chmod(mode)
    assert len(read(tmp_path).warnings) == told
