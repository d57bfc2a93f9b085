"""The security corpus (tests/vectors/hostile) as a server sends it: which rows are for a version, their macros, their names."""
import json
import re

from fed import events
from server import TOP

HOSTILE = TOP / "tests" / "vectors" / "hostile"


def corpus(name):
    return json.loads((HOSTILE / f"{name}.json").read_text())


def is_for(row, version):
    first, _, last = row["versions"].partition("-")
    return int(first) <= int(version) <= int(last or first)


def expand(text, pad=0):
    """The rows' macros: <<x*n>> is x n times (# in it the number of the turn), <<hex:..>> bytes, <<pad>> fills up."""
    def macro(m):
        word = m[1]
        if word == b"pad":
            return b"a" * pad
        if word.startswith(b"hex:"):
            return bytes.fromhex(word[4:].decode())
        unit, _, n = word.rpartition(b"*")
        return b"".join(unit.replace(b"#", b"%d" % i) for i in range(int(n))) if b"#" in unit else unit * int(n)
    return re.sub(rb"<<(.*?)>>", macro, text.encode(), flags=re.S)


def no_duplicates(pairs):
    assert len({k for k, _ in pairs}) == len(pairs)
    return dict(pairs)


def no_float(text):
    raise ValueError(text)


def read(text):
    """The value, where there can be no two opinions about it; else None."""
    if len(text) > 1 << 18:
        return None
    try:
        value = json.loads(text.decode(), object_pairs_hook=no_duplicates, parse_float=no_float, parse_constant=no_float)
        events.canonical(value).decode()
        return value
    except (ValueError, AssertionError, RecursionError):
        return None


def placed(value, domains):
    """The rows' users and ids (:a, :b, :n) as those of real servers."""
    if isinstance(value, dict):
        return {placed(k, domains): placed(v, domains) for k, v in value.items()}
    if isinstance(value, list):
        return [placed(v, domains) for v in value]
    if isinstance(value, str) and (m := re.fullmatch(r"([@$!#][^:]*):([abn])", value)):
        return f"{m[1]}:{domains[m[2]]}"
    return value
