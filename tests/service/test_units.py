from __future__ import annotations

import plistlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.service.units import LABEL, UNIT, Service, plist, stop_limit, unit

SERVICE = Service(
    program=("/opt/my venv/bin/python", "-m", "neurolink_mitm.cli"),
    arguments=("--port", "55669", "--config", '/home/me/50% "off" $HOME\\x.yaml'),
    environment={"NEUROLINK_HOME": "/home/me/$x %h", "HTTPS_PROXY": "http://p:1"},
    log="/home/me/.neurolink/logs/service.log",
)
TEXTS = st.text(st.characters(min_codepoint=32, blacklist_categories=["Cs"]), max_size=20)


def value(text: str, name: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith(f"{name}=")]
    return line.partition("=")[2]


def test_launchd_starts_it_at_login_and_after_a_crash() -> None:
    read = plistlib.loads(plist(SERVICE))
    assert read["Label"] == LABEL
    assert read["ProgramArguments"] == list(SERVICE.command)
    assert read["EnvironmentVariables"] == SERVICE.environment
    assert (read["RunAtLoad"], read["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert read["ThrottleInterval"] == 5
    assert read["StandardErrorPath"] == SERVICE.log


def test_streams_get_their_time_to_finish() -> None:
    patient = replace(SERVICE, drain=900)
    assert plistlib.loads(plist(patient))["ExitTimeOut"] == stop_limit(900) > 900
    assert value(unit(patient), "TimeoutStopSec") == str(stop_limit(900))


@given(TEXTS.filter(lambda text: text.isprintable()))
def test_a_property_list_holds_any_text(text: str) -> None:
    service = Service(("p",), (text,), {"NAME": text})
    read = plistlib.loads(plist(service))
    assert read["ProgramArguments"][-1] == read["EnvironmentVariables"]["NAME"] == text


def test_systemd_starts_it_at_login_and_after_a_crash() -> None:
    text = unit(SERVICE)
    assert value(text, "Restart") == "on-failure"
    assert value(text, "RestartSec") == "5"
    assert value(text, "WantedBy") == "default.target"


def test_systemd_reads_words_as_they_were() -> None:
    text = unit(SERVICE)
    assert value(text, "ExecStart") == (
        '"/opt/my venv/bin/python" "-m" "neurolink_mitm.cli" "proxy" "start" "--port" "55669"'
        ' "--config" "/home/me/50%% \\"off\\" $$HOME\\\\x.yaml"'
    )
    assert 'Environment="NEUROLINK_HOME=/home/me/$x %%h"\n' in text


def test_systemd_has_the_settings_put_back_when_it_dies() -> None:
    assert value(unit(SERVICE), "ExecStopPost").endswith('"proxy" "guard"')


def test_systemd_waits_for_streams_and_lets_the_guard_be() -> None:
    text = unit(SERVICE)
    assert (value(text, "TimeoutStopSec"), value(text, "KillMode")) == ("75", "mixed")


@pytest.mark.parametrize("text", ["a\nExecStart=/bin/evil", "a\0"], ids=["line", "zero"])
def test_what_no_line_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        unit(Service(("p",), (text,)))


def verify(place: Path, service: Service) -> str:
    """Return what systemd has to say of the unit."""
    path = place / UNIT
    path.write_text(unit(service))
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify", path],
        env={"HOME": str(place), "XDG_RUNTIME_DIR": str(place), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return f"{done.stdout}{done.stderr}"


@pytest.mark.real("systemd")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    program = Service(
        (shutil.which("true") or "/bin/true",), SERVICE.arguments, SERVICE.environment
    )
    assert verify(tmp_path, program) == ""


@pytest.mark.real("systemd")
def test_systemd_would_not_accept_just_anything(tmp_path: Path) -> None:
    """Else the test before would prove nothing."""
    assert "not executable" in verify(tmp_path, Service(("/no/such/program",), ()))
