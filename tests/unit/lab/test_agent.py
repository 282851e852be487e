"""BER, the tree and its PDUs, and the keys of v3; real clients are asked in tests/acceptance/test_lab.py."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.target import Target
from sentinel.lab.agent import pdu
from sentinel.lab.agent.device import device
from sentinel.lab.agent.tree import Tree
from sentinel.wire import ber
from sentinel.wire.usm import Keys, NotDecrypted, User, _localized

OIDS = st.tuples(st.integers(0, 2), st.integers(0, 39)).flatmap(
    lambda start: st.lists(st.integers(0, (1 << 32) - 1), max_size=20).map(lambda rest: (*start, *rest))
)


@given(OIDS)
def test_oids_survive(name: tuple[int, ...]) -> None:
    assert ber.Reader(ber.oid(name)).oid() == name


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers_survive(number: int) -> None:
    assert ber.Reader(ber.integer(number)).integer() == number


@given(st.binary(max_size=300))
def test_octets_survive(text: bytes) -> None:
    assert ber.Reader(ber.octets(text)).content(ber.OCTETS) == text


@given(st.binary(max_size=60))
def test_any_bytes_are_a_pdu_or_a_bad_message(data: bytes) -> None:
    try:
        pdu.read(ber.Reader(data))
    except ber.BadMessage:
        return


def small() -> Tree:
    tree = Tree()
    tree.text("1.3.6.1.2.1.1.5.0", "name")
    tree.number("1.3.6.1.2.1.1.3.0", lambda now: 100 * now, ber.TIMETICKS)
    for row in (1, 2, 3):
        tree.number(f"1.3.6.1.2.1.2.2.1.8.{row}", row)
    return tree


def asked(kind: int, *names: str, first: int = 0, second: int = 0) -> list[tuple[tuple[int, ...], bytes]]:
    request = pdu.Pdu(kind, 7, first, second, tuple(map(ber.parse_oid, names)))
    body = ber.Reader(pdu.answer(request, small(), 2.0)).enter(pdu.RESPONSE)
    assert body.integer() == 7
    status = body.integer()
    body.integer()
    rows = []
    bindings = body.enter(ber.SEQUENCE)
    while bindings.more:
        row = bindings.enter(ber.SEQUENCE)
        rows.append((row.oid(), row.data[row.at : row.end]))
    assert status in (0, 17)
    return rows


def test_get_tells_a_missing_instance_from_a_missing_object() -> None:
    rows = asked(pdu.GET, "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.2.2.1.8.9", "1.3.6.1.9.9.0")
    assert [value for _, value in rows] == [
        ber.integer(200, ber.TIMETICKS),
        ber.NO_SUCH_INSTANCE,
        ber.NO_SUCH_OBJECT,
    ]


def test_get_next_walks_in_order_to_the_end() -> None:
    name, seen = "1", []
    while True:
        ((found, value),) = asked(pdu.GET_NEXT, name)
        if value == ber.END_OF_VIEW:
            break
        seen.append(found)
        name = ".".join(map(str, found))
    assert seen == sorted(seen)
    assert len(seen) == len(small())


def test_get_bulk_repeats_its_columns() -> None:
    rows = asked(pdu.GET_BULK, "1.3.6.1.2.1.1.4", "1.3.6.1.2.1.2.2.1.8", first=1, second=5)
    assert rows[0][0] == ber.parse_oid("1.3.6.1.2.1.1.5.0")
    assert [value for _, value in rows[1:4]] == [ber.integer(row) for row in (1, 2, 3)]
    assert rows[4][1] == ber.END_OF_VIEW
    assert len(rows) == 5


def test_nothing_can_be_set() -> None:
    assert asked(pdu.SET, "1.3.6.1.2.1.1.5.0")


def test_counters_wrap_and_never_fall() -> None:
    tree = device(Target("core-1", "核心", "127.18.0.1", "switch", "internal"), (), [])
    for column, bits in ((10, 32), (6, 64)):
        base = "1.3.6.1.2.1.2.2.1" if bits == 32 else "1.3.6.1.2.1.31.1.1.1"
        name = ber.parse_oid(f"{base}.{column}.1")
        values = [int.from_bytes(tree.get(name, float(now))[2:], "big") for now in range(0, 4000, 10)]
        rises = [(later - earlier) % (1 << bits) for earlier, later in itertools.pairwise(values)]
        assert all(0 < rise < 1e10 for rise in rises)


def test_devices_differ_and_stay_themselves() -> None:
    one, other = (Target(id_, id_, "127.18.0.1", "switch", "internal") for id_ in ("one", "other"))
    name = ber.parse_oid("1.3.6.1.2.1.99.1.1.1.4.1001")
    assert device(one, (), []).get(name, 5.0) == device(one, (), []).get(name, 5.0)
    assert device(one, (), []).get(name, 5.0) != device(other, (), []).get(name, 5.0)


@pytest.mark.parametrize(
    ("digest", "key"),
    [
        ("md5", "526f5eed9fcce26f8964c2930787d82b"),
        ("sha1", "6695febc9288e36282235fc7151f128497b38f3f"),
    ],
)
def test_localized_keys_are_those_of_rfc_3414_a_3(digest: str, key: str) -> None:
    assert _localized(digest, "maplesyrup", bytes.fromhex("000000000000000000000002")).hex() == key


@pytest.mark.parametrize("privacy", ["des", "aes128", "aes192", "aes256"])
@pytest.mark.parametrize("auth", ["md5", "sha", "sha256", "sha512"])
def test_what_is_encrypted_is_decrypted(auth: str, privacy: str) -> None:
    keys = Keys(User("u", auth, "password-1", privacy, "password-2"), b"engine-1")
    plain = b"\x30\x06hello!" + bytes(8)
    text, salt = keys.encrypt(plain, 1, 99)
    assert keys.decrypt(text, salt, 1, 99)[: len(plain)] == plain
    assert keys.encrypt(plain, 1, 99)[1] != salt
    assert len(keys.signature(plain)) == keys.signature_bytes
    with pytest.raises(NotDecrypted):
        keys.decrypt(text, b"short", 1, 99)


def test_a_user_without_authentication_signs_nothing() -> None:
    assert Keys(User("u"), b"engine").signature_bytes == 0
