"""What of it needs no proxy; tests/flows/test_telemetry.py has the rest."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec

import pytest

from neurolink_mitm.core.exchange import Exchange, Kind, Outcome
from neurolink_mitm.telemetry.otlp import FULL, MISSING, OtlpTelemetry, pieces
from neurolink_mitm.telemetry.setup import Setup, telemetry_setup
from tests.fakes import NOW, make_account, make_attempt, make_exchange
from tests.otlp_receiver import Receiver
from tests.waiting import wait_until

NEVER = "3600000"


def a_request() -> tuple[Exchange, list[str]]:
    exchange = make_exchange(
        kind=Kind.MESSAGES, path="/v1/messages", trace_id="f" * 32, span_id="e" * 16,
        attempts=[make_attempt(make_account(), status=200)], outcome=Outcome.COMPLETE,
        status=200, ended_at=NOW + 1,
    )  # fmt: skip
    return exchange, ["d" * 16]


def setup(url: str, **variables: str) -> Setup:
    return telemetry_setup(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": NEVER, **variables}
    )


def test_off_it_has_no_report_and_no_thread() -> None:
    telemetry = OtlpTelemetry(Setup())
    telemetry.close()
    assert (telemetry.on, telemetry.report(), telemetry.faults) == (False, None, ())


def test_what_does_not_fit_is_counted() -> None:
    with Receiver() as receiver:
        small = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
        small |= {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "4"}
        receiver.holds = True
        telemetry = OtlpTelemetry(setup(receiver.url, **small))
        for _ in range(5):
            telemetry.record(*a_request())
        wait_until(lambda: telemetry.dropped == 3 * 3, "the rest is lost")
        assert telemetry.last_error == FULL
        receiver.release()
        telemetry.close()
        assert (telemetry.exported, telemetry.dropped) == (2 * 3, 3 * 3)
        assert len(receiver.spans()) == 4


def test_the_queue_of_log_records_has_a_size_of_its_own() -> None:
    with Receiver() as receiver:
        small = {f"OTEL_BLRP_MAX_{each}_SIZE": "2" for each in ("QUEUE", "EXPORT_BATCH")}
        telemetry = OtlpTelemetry(setup(receiver.url, **small))
        for _ in range(5):
            telemetry.record(*a_request())
        telemetry.close()
        assert (telemetry.exported, telemetry.dropped) == (3, 4 * 3)


def test_pieces_are_what_the_collector_gets() -> None:
    with Receiver() as receiver:
        telemetry = OtlpTelemetry(setup(receiver.url))
        telemetry.record(*a_request())
        telemetry.close()
        assert len(receiver.spans()) + len(receiver.logs()) == pieces(a_request()[0])


def test_after_the_end_nothing_is_taken() -> None:
    with Receiver() as receiver:
        telemetry = OtlpTelemetry(setup(receiver.url))
        telemetry.record(*a_request())
        telemetry.close()
        telemetry.record(*a_request())
        assert (telemetry.exported, telemetry.dropped) == (3, 3)


@contextmanager
def raw_collector(answer: bytes, *, endless: bool = False) -> Iterator[str]:
    """One that says `answer` to each request, the last byte of it for ever if `endless`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with suppress(OSError), connection:
                        connection.recv(1 << 20)
                        connection.sendall(answer)
                        while endless:
                            connection.sendall(answer[-1:] * 65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_an_answer_without_end_is_not_read() -> None:
    """It would fill the memory."""
    with raw_collector(b"HTTP/1.1 200 OK\r\n\r\nx", endless=True) as url:
        telemetry = OtlpTelemetry(setup(url, OTEL_METRICS_EXPORTER="none"))
        telemetry.record(*a_request())
        telemetry.close()
        assert (telemetry.exported, telemetry.dropped) == (3, 0)


def test_what_a_collector_says_moves_no_cursor(caplog: pytest.LogCaptureFixture) -> None:
    with raw_collector(b"HTTP/1.1 418 \x1b[2Jno\r\n\r\n") as url:
        telemetry = OtlpTelemetry(setup(url))
        telemetry.record(*a_request())
        telemetry.close()
    [said] = [each.getMessage() for each in caplog.records if each.name == "neurolink.telemetry"]
    assert said.endswith("418, reason: [2Jno")
    assert telemetry.last_error
    assert telemetry.last_error.isprintable()


class NotInstalled:
    """Finds nothing of OpenTelemetry."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
        return None


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("not_installed")
def test_without_the_extra_it_says_what_to_do() -> None:
    telemetry = OtlpTelemetry(setup("http://localhost:4318"))
    assert (telemetry.on, telemetry.report()) == (False, None)
    assert telemetry.faults == (MISSING,)
    assert "pip install 'neurolink-mitm[otel]'" in MISSING


@pytest.mark.usefixtures("not_installed")
def test_without_the_extra_a_change_says_so_too(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = OtlpTelemetry(Setup())
    telemetry.configure(setup("http://localhost:4318"))
    telemetry.configure(setup("http://localhost:4318"))
    assert [each.getMessage() for each in caplog.records] == [MISSING]
