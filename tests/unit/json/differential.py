#!/usr/bin/env python3
"""Documents, read by hearth's JSON and by Python's: differential.py PATH_TO_json_answer [SEED [HOW_MANY]]

Compared are whether a document is taken, every value in it, and what is written again. Python's json is the yardstick
because canonical JSON is defined by it (appendix "Canonical JSON": json.dumps with sort_keys, separators and
ensure_ascii=False). Where the two differ on purpose, the difference stands in `expected` below, each with its reason:

1. NaN, Infinity, -Infinity: Python takes them, JSON has no such words.
2. Lone surrogates in escapes: Python makes a string of them that no UTF-8 can hold.
3. More than 64 levels, more than 65,536 values: our limits, ERR_TOO_LARGE.
4. Numbers that are no 64-bit integers keep their text; Python would round floats. In canonical text 1e10 is 10000000000.
   Only where we are asked for what the servers of room versions 1 to 5 sign (as_floats) is it what Python writes.
5. -0 is the integer 0 for both, and so it is written.
"""
import json, random, re, subprocess, sys

MAX_DEPTH, MAX_VALUES = 64, 65536
EXACT = 2**53 - 1


class Refused(Exception):
    pass


class Number(str):
    """A number as text."""


class Pairs(list):
    """An object's members as they came, duplicates included."""


def refuse_constant(word):
    raise Refused(word)                                              # 1


def parse(raw):
    try:
        text = raw.decode("utf-8", "strict")
        value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse_constant,
                           object_pairs_hook=Pairs)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise Refused(str(e))
    return value


def depth_and_values(v):
    """Iterative: documents may be deep."""
    deepest, n, todo = 0, 0, [(v, 0)]
    while todo:
        v, d = todo.pop()
        n += 1
        if isinstance(v, Pairs):
            deepest = max(deepest, d + 1)
            todo += [(m, d + 1) for _, m in v]
        elif isinstance(v, list):
            deepest = max(deepest, d + 1)
            todo += [(m, d + 1) for m in v]
    return deepest, n


def is_int(number):
    return re.fullmatch(r"-?\d+", number) and -2**63 <= int(number) < 2**63


def utf8(text):
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("surrogate")                                   # 2


def dump(v):
    if v is None:
        return "n"
    if v is True or v is False:
        return "t" if v else "f"
    if isinstance(v, Number):
        return f"i{int(v)}" if is_int(v) else f"N{v}"
    if isinstance(v, str):
        return "s" + utf8(v).hex()
    if isinstance(v, Pairs):
        dup = len({k for k, _ in v}) != len(v)
        return ("D{" if dup else "{") + "".join(f"{utf8(k).hex()}:{dump(m)}," for k, m in v) + "}"
    return "[" + "".join(dump(m) + "," for m in v) + "]"


def plain(v, number):
    """What json.dumps takes; the last of duplicate keys, at the place of the first, as a dict does it."""
    if isinstance(v, Number):
        return number(v)
    if isinstance(v, Pairs):
        return {k: plain(m, number) for k, m in v}
    if isinstance(v, list):
        return [plain(m, number) for m in v]
    return v


MARK = "\ue000number:"


def dumps(v, canonical):
    def number(text):
        if is_int(text):
            return int(text)
        if canonical and (m := re.fullmatch(r"(-?\d+)[eE]\+?(\d+)", text)):   # 4
            mantissa, power = int(m[1]), int(m[2])
            # Ours knows exponents of 64 bits; what has more keeps its text.
            if power < 2**64 and (mantissa == 0 or power < 20) and abs(mantissa) < 2**64:
                whole = mantissa * 10 ** (power if mantissa else 0)
                if abs(whole) <= EXACT:
                    return whole
        return MARK + text + "\ue001"                                # 4: taken out of its quotes below

    text = json.dumps(plain(v, number), ensure_ascii=False, separators=(",", ":"), sort_keys=canonical)
    return re.sub(f'"{MARK}([^"]*)\ue001"', r"\1", text).encode("utf-8")


def as_floats(v):
    """What canonicaljson makes of the document."""
    try:
        return json.dumps(plain(v, lambda text: int(text) if re.fullmatch(r"-?\d+", text) else float(text)), allow_nan=False,
                          ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8")
    except ValueError:
        return b"no doubles"


def is_strict(v):
    if isinstance(v, Number):
        return bool(is_int(v)) and abs(int(v)) <= EXACT
    if isinstance(v, Pairs):
        return len({k for k, _ in v}) == len(v) and all(is_strict(m) for _, m in v)
    if isinstance(v, list):
        return all(is_strict(m) for m in v)
    return True


def expected(raw):
    try:
        v = parse(raw)
    except Refused:
        # A limit may be met before the mistake is.
        may_be_deep = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
        return [b"M_NOT_JSON\n"] + ([b"M_TOO_LARGE\n"] if may_be_deep else [])
    depth, values = depth_and_values(v)
    if depth > MAX_DEPTH or values > MAX_VALUES:                     # 3
        return [b"M_TOO_LARGE\n", b"M_NOT_JSON\n"] if b"\\u" in raw else [b"M_TOO_LARGE\n"]
    try:
        dumped = dump(v).encode()
    except Refused:
        return [b"M_NOT_JSON\n"]
    strict = b"strict" if is_strict(v) else b"not strict"
    return [b"ok\n" + dumped + b"\n" + dumps(v, True) + b"\n" + strict + b"\n" + as_floats(v) + b"\n" + dumps(v, False) + b"\n"]


# ---- documents

WORDS = ["", "a", "b", "type", "content", "m.room.message", "@u:x", "ab", "\u00e9", "\u65e5\u672c", "\U0001f600",
         "\uffff", "\ue000", "\x00", "\x7f", "\x1f", "\n", "\t\"\\/", "\u2028", "x" * 15, "x" * 16, "x" * 17,
         "key with spaces", "-0", "null"]
NUMBERS = ["0", "-0", "1", "-1", "9007199254740991", "9007199254740992", "-9007199254740992", "9223372036854775807",
           "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 40,
           "1.0", "-0.0", "0.1", "1e5", "1E5", "1e+10", "1e-7", "123e15", "9e15", "9007199254740991e0", "1e400", "-0e1",
           "1.7976931348623157e309", "0e0", "5e00", "12345678901234567890e1", "9999999999999998.0", "1e16", "1e15", "0.0001",
           "0.00001", "5.684341886080801486968994140625e-14", "2.2250738585072014e-308", "5e-324", "2e-324", "1e23",
           "0.30000000000000004", "123456789012345678901234567890.5"]


def number(r):
    """Fractions and exponents around every limit of a double."""
    digits = str(r.randrange(10 ** r.randrange(1, 22)))
    sign = r.choice(("", "", "-"))
    kind = r.random()
    if kind < 0.3:
        return f"{sign}{digits}.{r.randrange(10 ** r.randrange(1, 22))}"
    if kind < 0.6:
        return f"{sign}{digits}{r.choice('eE')}{r.choice(('', '+', '-'))}{r.randrange(r.choice((3, 25, 340)))}"
    if kind < 0.8:
        return f"{sign}{2.0 ** r.randrange(-1074, 1024) * r.choice((1, 1, 3, 1 + 2 ** -52)):.{r.randrange(30)}e}".replace("inf", "0")
    return f"{sign}{r.random() * 10 ** r.randrange(-8, 25)!r}"


def spaces(r):
    return "".join(r.choice(" \t\r\n") for _ in range(r.choice((0, 0, 0, 0, 1, 2))))


def string(r, text):
    out = []
    for c in text:
        style = r.random()
        if c in '"\\' or ord(c) < 0x20 or style < 0.15:
            short = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "\\": "\\", "/": "/"}.get(c)
            if short and r.random() < 0.6:
                out.append("\\" + short)
            else:
                units = c.encode("utf-16-be")
                for i in range(0, len(units), 2):
                    digits = f"{units[i]:02x}{units[i + 1]:02x}"
                    out.append("\\u" + (digits.upper() if r.random() < 0.5 else digits))
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def text(r):
    if r.random() < 0.6:
        return r.choice(WORDS)
    n = r.choice((1, 3, 8, 20, 40))
    return "".join(r.choice((chr(r.randrange(0x20, 0x7f)), r.choice(WORDS)[:1], chr(r.randrange(0xa0, 0xd800)),
                             chr(r.randrange(0xe100, 0x110000)))) for _ in range(n))


def document(r, depth, left):
    """`left` is a list of one number: how many values may still be made, so that documents stay small."""
    kind = r.random()
    left[0] -= 1
    if depth <= 0 or kind < 0.35 or left[0] <= 0:
        return r.choice(("null", "true", "false", r.choice(NUMBERS), number(r), str(r.randrange(-10**6, 10**20)),
                         string(r, text(r)), string(r, text(r))))
    n = r.choice((0, 1, 2, 3, 5, 15, 16, 17, 40)) if r.random() < 0.3 else r.randrange(4)
    if kind < 0.6:
        return "[" + spaces(r) + ",".join(spaces(r) + document(r, depth - 1, left) + spaces(r) for _ in range(n)) + "]"
    keys = [text(r) if r.random() < 0.5 else f"k{r.randrange(60)}" for _ in range(n)]
    members = (f"{spaces(r)}{string(r, k)}{spaces(r)}:{spaces(r)}{document(r, depth - 1, left)}{spaces(r)}"
               for k in keys)
    return "{" + spaces(r) + ",".join(members) + "}"


TOKENS = [b"NaN", b"Infinity", b"-Infinity", b"-", b"+1", b"01", b"1.", b".1", b"1e", b"0x1", b"\\ud800", b"\\udc00",
          b"\\ud83d\\ude00", b"\\u00", b"\\x", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3",
          b"\xef\xbb\xbf", b"\x00", b"\x1f", b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b",,", b"//", b"'", b"nul",
          b"tru", b"\xc2\xa0", b"\x0b", b"\x0c", b"e", b"E5", b"-0"]


def mutated(r, raw):
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        at = r.randrange(len(raw) + 1)
        how = r.random()
        if how < 0.4:
            raw = raw[:at] + r.choice(TOKENS) + raw[at:]
        elif how < 0.6:
            raw = raw[:at] + raw[at + r.choice((1, 1, 2, 5)):]
        elif how < 0.8:
            raw = raw[:at] + bytes([r.randrange(256)]) + raw[at + 1:]
        elif how < 0.9:
            raw = raw[:at]
        else:
            raw = raw[:at] + raw[r.randrange(len(raw) + 1):]
    return raw


def fixed():
    yield from (t for t in TOKENS)
    yield from (b'"' + t + b'"' for t in TOKENS)
    yield from (n.encode() for n in NUMBERS)
    for n in (1, 62, 63, 64, 65, 66, 500):
        yield b"[" * n + b"]" * n
        yield b'{"a":' * n + b"1" + b"}" * n
    yield b"[" + b"0," * (MAX_VALUES - 2) + b"0]"
    yield b"[" + b"0," * (MAX_VALUES - 1) + b"0]"
    for c in range(256):
        yield b'"' + bytes([c]) + b'"'
        yield bytes([c])
        yield b'"\\' + bytes([c]) + b'"'
        yield b'{"a"' + bytes([c]) + b":1}"
        yield b"1" + bytes([c])
    for high in (0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000):
        for low in (0x0041, 0xdbff, 0xdc00, 0xdfff, 0xe000):
            yield f'"\\u{high:04x}\\u{low:04X}"'.encode()


def documents(seed, how_many):
    r = random.Random(seed)
    yield from fixed()
    for _ in range(how_many):
        raw = (spaces(r) + document(r, r.randrange(7), [40]) + spaces(r)).encode()
        yield raw
        yield mutated(r, raw)


def main(program, seed=20260101, how_many=3000):
    server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    taken = refused = 0
    for raw in documents(int(seed), int(how_many)):
        server.stdin.write(b"%d\n" % len(raw) + raw)
        server.stdin.flush()
        length = server.stdout.readline()
        if not length:
            sys.exit(f"the program died of {raw[:2000]!r} (exit {server.wait()})")
        got = server.stdout.read(int(length))
        want = expected(raw)
        if got not in want:
            sys.exit(f"document {raw[:2000]!r}\n  got  {got[:3000]!r}\n  want {want[0][:3000]!r}")
        taken += got.startswith(b"ok")
        refused += not got.startswith(b"ok")
    server.stdin.close()
    if server.wait() != 0:
        sys.exit(f"the program ended with {server.returncode}")
    print(f"{taken} documents taken, {refused} refused: the same as Python")
    # A generator that makes nothing but nonsense, or nothing but what is right, tests little.
    assert taken > 1000 and refused > 1000, (taken, refused)


main(*sys.argv[1:])
