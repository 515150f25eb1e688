"""What gangs on a cluster are made of, without one."""

import pickle
import socket
import threading
from collections.abc import Iterator

import headrace as hr
import pytest
from headrace.gang._failures import Cause, Failure, the_cause
from headrace.gang._meeting import Arrival, Meeting
from headrace.gang._output import Pipe
from headrace.gang._post import PostOffice, post

SECRET = b"s" * 32
HOST = "127.0.0.1"


def come(meeting: Meeting, *arrivals: Arrival) -> list[tuple[str, list[bytes]]]:
    """Have ranks come at once; what each was told."""
    told: dict[int, tuple[str, list[bytes]]] = {}

    def wait(arrival: Arrival) -> None:
        told[arrival.rank] = meeting.come(arrival)

    threads = [threading.Thread(target=wait, args=(arrival,)) for arrival in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [told[rank] for rank in sorted(told)]


def arrival(
    rank: int, name: str = "barrier", timeout_ms: int | None = None, root: int = 0
) -> Arrival:
    return Arrival(rank, name, root, b"%d" % rank, timeout_ms)


def test_ranks_meet_again_and_again() -> None:
    meeting = Meeting(3)
    for _ in range(50):
        assert come(meeting, *map(arrival, range(3))) == [("", [])] * 3
        gathered = come(meeting, *(arrival(rank, "all_gather") for rank in range(3)))
        assert gathered == [("", [b"0", b"1", b"2"])] * 3
        told = come(meeting, *(arrival(rank, "broadcast", root=2) for rank in range(3)))
        assert told == [("", [b"2"])] * 3
    assert (
        come(meeting, *(arrival(rank, "return") for rank in range(3))) == [("", [])] * 3
    )


def test_who_does_not_come_is_named() -> None:
    meeting = Meeting(4)
    why = "barrier (operation 1): within 0.01 s ranks 0, 2 did not come, ranks 1, 3 did"
    assert come(meeting, arrival(1, timeout_ms=10_000), arrival(3, timeout_ms=10))[0] == (
        why,
        [],
    )
    # Whoever comes later is told the same.
    assert meeting.come(arrival(0)) == (why, [])


@pytest.mark.parametrize("first", [0, 1])
def test_who_has_ended_is_not_waited_for(first: int) -> None:
    meeting = Meeting(3)
    pair = [arrival(0, "all_gather"), arrival(1, "return")]
    why = "all_gather (operation 1): rank 1 has ended and will not come"
    assert come(meeting, pair[first], pair[1 - first]) == [(why, [])] * 2


def test_ranks_that_come_to_different_operations_are_told() -> None:
    meeting = Meeting(3)
    told = come(meeting, arrival(0, "broadcast", root=1), arrival(1, "broadcast", root=2))
    assert "broadcast from rank 1 (operation 1)" in told[0][0]
    assert "broadcast from rank 2 (operation 1)" in told[0][0]
    assert "all ranks have to call the same operations in the same order" in told[0][0]


def test_a_meeting_that_closes_lets_ranks_go() -> None:
    meeting = Meeting(2)
    closing = threading.Timer(0.01, meeting.close, ["over"])
    closing.start()
    assert meeting.come(arrival(0)) == ("over", [])


@pytest.fixture
def office() -> Iterator[PostOffice]:
    made = PostOffice(HOST, SECRET, lambda message: message[::-1])
    yield made
    made.close()


def test_messages_are_answered(office: PostOffice) -> None:
    long = bytes(range(256)) * 10_000
    assert post(office.address, SECRET, long, 10) == long[::-1]
    assert post(office.address, SECRET, b"", 10) == b""


def test_a_wrong_secret_is_refused(office: PostOffice) -> None:
    with pytest.raises((hr.errors.PeerFailed, ConnectionError)):
        post(office.address, b"w" * 32, b"let me in", 10)


def test_a_stranger_that_answers_is_not_told_anything() -> None:
    """Neither a false proof nor our own, sent back, makes an office."""
    heard: list[bytes] = []
    with socket.create_server((HOST, 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                theirs = connection.recv(32, socket.MSG_WAITALL)
                connection.sendall(theirs)
                proof = connection.recv(32, socket.MSG_WAITALL)
                connection.sendall(proof)
                heard.append(connection.recv(1000))

        stranger = threading.Thread(target=answer)
        stranger.start()
        with pytest.raises(hr.errors.PeerFailed, match="not the secret of the gang"):
            post(listener.getsockname()[:2], SECRET, b"a word", 10)
        stranger.join()
    assert heard == [b""]


def test_a_closed_office_has_given_its_answers() -> None:
    asked, answer = threading.Event(), threading.Event()

    def slowly(message: bytes) -> bytes:
        asked.set()
        assert answer.wait(10)
        return b"late"

    office = PostOffice(HOST, SECRET, slowly)
    told: list[bytes] = []
    caller = threading.Thread(
        target=lambda: told.append(post(office.address, SECRET, b"", 10))
    )
    caller.start()
    assert asked.wait(10)
    threading.Timer(0.05, answer.set).start()
    office.close()
    caller.join()
    assert told == [b"late"]
    with pytest.raises(OSError):
        post(office.address, SECRET, b"", 10)


def test_failures_travel_in_messages() -> None:
    report = (pickle.dumps(KeyError("x")), "KeyError: 'x'", "Traceback ...")
    failure = Failure(Cause.RAISED, 1, "rank 1 of 2 raised KeyError: 'x'", report)
    message = f"Job aborted: Lost task\n{failure.text}\n{failure.carried()}\n\tat java..."
    assert Failure.found(message) == failure
    assert Failure.found("Job aborted: something else") is None
    large = Failure(Cause.RAISED, 1, "large", (b"p" * (1 << 20), "s", "t" * (1 << 20)))
    found = Failure.found(large.carried())
    assert found is not None and found.report is not None
    assert (found.report[0], found.report[1]) == (b"", "s")
    assert 0 < len(found.report[2]) < 1 << 20


def test_the_cause_is_what_a_task_did_by_itself() -> None:
    peer = Failure(Cause.PEER_FAILED, 0, "a peer failed")
    raised = Failure(Cause.RAISED, 1, "raised")
    killed = Failure(Cause.SIGNALLED, 2, "killed")
    assert the_cause([peer, raised, killed]) is killed
    assert the_cause([peer, raised]) is raised


def test_a_pipe_gives_whole_lines() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours, ours.makefile("rb", buffering=0) as file:
        pipe = Pipe(file, is_error=False)
        assert pipe.read() == b""
        theirs.sendall(b"one\ntw")
        assert pipe.read() == b"one\n"
        theirs.sendall(b"o\n" + b"x" * 100_000)
        theirs.shutdown(socket.SHUT_WR)
        data = b""
        while not pipe.is_over:
            data += pipe.read()
        assert data + pipe.rest() == b"two\n" + b"x" * 100_000
